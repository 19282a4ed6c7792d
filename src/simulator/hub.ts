import type { Answer } from './api/answer.ts';
import type { Caller, IssuedCredentials } from './api/credentials.ts';
import type { Deliveries } from './deliveries.ts';
import type { Job, Repository } from './facts.ts';
import type { Faults } from './faults.ts';
import type { People } from './people.ts';
import type { RateLimits } from './api/rate-limits.ts';
import type { RequestLog } from './request-log.ts';
import type { Links } from './api/rest-objects.ts';
import type { World } from './world.ts';

/** All parts of one simulated GitHub, as routes see them. */
export interface Hub {
  appId: number;
  privateKeyPem: string;
  apiPrefix: string;
  world: World;
  credentials: IssuedCredentials;
  people: People;
  rateLimits: RateLimits;
  faults: Faults;
  requests: RequestLog;
  deliveries: Deliveries;
  links: Links;
  now: () => number;
  /** A signed link to a job's log, good for the configured time. */
  signedLink(job: Job): string;
}

/** A request that passed authentication, with what its path names. */
export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  params: Readonly<Record<string, string>>;
  body: unknown;
  caller: Caller;
  hub: Hub;
}

/** A request about a repository that the caller may see. */
export interface RepositoryRequest extends ApiRequest {
  repository: Repository;
}

/**
 * `app`: the App's JWT only. `resource`: an installation token or the accepted token. `repository`: the same, and
 * the path names a repository that must be visible. `open`: anybody.
 */
export type Route = { name: string; method: 'GET' | 'POST' | 'PATCH'; path: string } & (
  | { access: 'open' | 'app' | 'resource'; handle(request: ApiRequest): Answer | Promise<Answer> }
  | { access: 'repository'; handle(request: RepositoryRequest): Answer }
);
