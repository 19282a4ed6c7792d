import { Hono } from 'hono';
import { messageOf } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

/** Something the process cannot work without: rejects, in its own words, when work with it would fail. */
export interface Dependency {
  readonly name: 'queue' | 'archive';
  ready(): Promise<void>;
}

/** A probe asks every few seconds and wants an answer before its own timeout. */
const READY_TIMEOUT_MS = 3_000;

/** The admin address: `GET /readyz` and `GET /metrics`. Not for the internet. */
export function createAdmin(dependencies: readonly Dependency[], metrics: Metrics): Hono {
  const app = new Hono();
  app.get('/readyz', async (c) => {
    const problems = (await Promise.all(dependencies.map(dependencyProblem))).flat();
    if (problems.length === 0) return c.json({ status: 'ready' });
    return c.json({ status: 'not_ready', problems }, 503);
  });
  app.get('/metrics', async (c) => {
    const { contentType, body } = await metrics.exposition();
    return c.body(body, 200, { 'content-type': contentType });
  });
  app.notFound((c) => c.json({ outcome: 'not_found', reason: 'here are /readyz and /metrics' }, 404));
  return app;
}

async function dependencyProblem(dependency: Dependency): Promise<{ name: string; problem: string }[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${READY_TIMEOUT_MS} ms`)), READY_TIMEOUT_MS);
  });
  try {
    await Promise.race([dependency.ready(), late]);
    return [];
  } catch (error) {
    return [{ name: dependency.name, problem: messageOf(error) }];
  } finally {
    clearTimeout(timer);
  }
}
