import { Agent, request } from 'undici';
import { inject } from 'vitest';
import { z } from 'zod';
import { s3Server, type S3Server } from './s3-connection.ts';

/** The first to ask for S3 on a bare machine waits for its packages to be installed and for it to start. */
const SERVICE_TIMEOUT_MS = 300_000;

const s3Coordinates = z.object({
  endpoint: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  region: z.literal('us-east-1'),
  kind: z.enum(['ceph', 'given', 'fake']),
  honoursCreateOnly: z.boolean(),
});

/** Long enough for a `beforeAll` that asks for a service: pass it as the hook's timeout. */
export const SERVICE_HOOK_TIMEOUT_MS = SERVICE_TIMEOUT_MS + 10_000;

/** The S3 server of this test run, started by the first who asks. Make buckets of your own; `stop` does nothing. */
export async function runS3(): Promise<S3Server> {
  return s3Server(s3Coordinates.parse(await askDesk('s3')), async () => {});
}

async function askDesk(service: string): Promise<unknown> {
  const dispatcher = new Agent({ headersTimeout: SERVICE_TIMEOUT_MS });
  try {
    const answer = await request(`${inject('serviceDeskUrl')}/${service}`, { dispatcher });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`no ${service} for the tests: ${text}`);
    return JSON.parse(text);
  } finally {
    await dispatcher.close();
  }
}
