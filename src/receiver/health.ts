import { Hono } from 'hono';

/** `GET /healthz`: the process answers. Whether the queue and the archive do is `/readyz`, on the admin address. */
export function createHealth(): Hono {
  return new Hono().get('/healthz', (c) => c.json({ status: 'ok' }));
}
