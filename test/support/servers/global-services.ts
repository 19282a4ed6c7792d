import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { TestProject } from 'vitest/node';
import { startS3 } from './s3-server.ts';
import type { S3Server } from './s3-connection.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where tests ask for the services of this run; `services.ts` does it for them. */
    serviceDeskUrl: string;
    /** Private keys for simulated Apps: making one takes longer than many a test. */
    appKeys: readonly string[];
  }
}

/**
 * One S3 server per test run, for vitest's `globalSetup`. It is started by the first test that asks, so that a run of unit tests
 * alone neither installs nor starts anything. A Redis starts in an instant: tests start their own.
 */
class ServiceDesk {
  #s3: Promise<S3Server> | undefined;
  readonly #http: Server = createServer((request, response) => {
    this.#answer(request.url ?? '').then(
      (service) => response.end(JSON.stringify(service)),
      (error: unknown) => {
        response.statusCode = 500;
        response.end(error instanceof Error ? error.message : String(error));
      },
    );
  });

  async open(): Promise<string> {
    await new Promise<void>((opened) => {
      this.#http.listen(0, '127.0.0.1', opened);
    });
    const address = this.#http.address();
    if (address === null || typeof address === 'string') throw new Error('the service desk has no port');
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    const [started] = await Promise.allSettled([this.#s3]);
    if (started.status === 'fulfilled') await started.value?.stop();
  }

  async #answer(path: string): Promise<object> {
    switch (path) {
      case '/s3': {
        this.#s3 ??= startS3();
        const { endpoint, accessKeyId, secretAccessKey, region, kind, honoursCreateOnly } = await this.#s3;
        return { endpoint, accessKeyId, secretAccessKey, region, kind, honoursCreateOnly };
      }
      default:
        throw new Error(`no service is called ${path}`);
    }
  }
}

/** As many as hosts that one test tells apart by their keys. */
const APP_KEYS = 3;

function newAppKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
}

let desk: ServiceDesk | undefined;
let deskUrl: Promise<string> | undefined;
let appKeys: readonly string[] | undefined;

/** Called once for each vitest project; they all get the same services. */
export async function setup(project: TestProject): Promise<void> {
  desk ??= new ServiceDesk();
  deskUrl ??= desk.open();
  project.provide('serviceDeskUrl', await deskUrl);
  appKeys ??= Array.from({ length: APP_KEYS }, newAppKey);
  project.provide('appKeys', appKeys);
}

export async function teardown(): Promise<void> {
  await desk?.close();
}
