import { findRecords, type StoredRecord } from '../archive/find/find-records.ts';
import { findHosts } from '../archive/find/hosts.ts';
import { parseAddress, type JobReference } from '../archive/find/job-reference.ts';
import type { RecordFilters } from '../archive/find/record-filters.ts';
import type { JobRecord } from '../archive/record.ts';
import { EverlogError, messageOf } from '../errors.ts';
import type { Hono } from 'hono';
import type { Log } from '../logger.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Access, Reader } from './access.ts';
import { html, type Html } from './html.ts';
import { addressesOf, type Addresses } from './job-page.ts';
import { noteOf, pageOf } from './page.ts';
import { numberIn, SECURITY, visitOf, type Page } from './requests.ts';
import type { StatusFacts } from './status-page.ts';

/** What a view is written down as. */
export interface View {
  readonly kind: 'page' | 'raw' | 'download';
  readonly reader: Reader;
  readonly record: JobRecord;
  readonly key: string;
}

export interface WebDeps {
  readonly store: ObjectStore;
  readonly access: Access;
  /** Where people log in, before anybody is known. */
  readonly login?: Hono;
  /** Values of `Host` that are answered; others get 421, as their name may point here by somebody else's will. Null: any. */
  readonly hosts: () => readonly string[] | null;
  /** Writes a view down; a raw view or download waits for it before its first byte. */
  readonly noteView: (view: View) => Promise<void>;
  /**
   * The newest jobs that pass, at most `limit`. `isIndexed`: what was recorded in the last minute may be missing. Default: every
   * record is read.
   */
  readonly findJobs?: (
    filters: RecordFilters,
    limit: number,
  ) => Promise<{ readonly records: readonly StoredRecord[]; readonly isIndexed: boolean }>;
  readonly status: () => Promise<StatusFacts>;
  readonly log: Log;
}

/** How long the hosts of an archive are taken to be the same. */
const HOSTS_KEPT_MS = 60_000;

/** What all pages share: the frame, refusals, who may look, and which records an address means. */
export class Site {
  readonly deps: WebDeps;
  #hosts: { readonly names: readonly string[]; readonly untilMs: number } | null = null;

  constructor(deps: WebDeps) {
    this.deps = deps;
  }

  page(title: string, crumbs: readonly string[], content: Html, status: 200 | 404 | 502 = 200): Response {
    const links = crumbs.map((name, index) => ({
      name,
      href:
        index === crumbs.length - 1
          ? null
          : index === 1
            ? `/${crumbs.slice(0, 2).map(encodeURIComponent).join('/')}`
            : null,
    }));
    const frame = { title, crumbs: links, archive: this.deps.store.location };
    const body = pageOf(frame, content);
    return new Response(body, {
      status,
      headers: { ...SECURITY, 'content-type': 'text/html; charset=utf-8' },
    });
  }

  /** Every refusal is this same page, so that nobody learns which jobs there are. */
  missing(): Response {
    const content = noteOf(
      'Not here',
      'This archive has no such job that you may see.',
      'Paste another address above, or look at the newest jobs.',
      html`<a href="/">Newest jobs</a>`,
    );
    return this.page('Not here', [], content, 404);
  }

  failed(error: unknown): Response {
    if (error instanceof EverlogError && error.code === 'object_corrupt') {
      const content = html`${noteOf('Not what was archived')}
        <p class="seal wrong">${error.message}</p>`;
      return this.page('Not what was archived', [], content, 502);
    }
    this.deps.log.error({ error: messageOf(error) }, 'a page could not be made');
    return this.page(
      'The archive does not answer',
      [],
      noteOf('The archive does not answer', 'Try again in a moment.'),
      502,
    );
  }

  async may(c: Page, record: JobRecord): Promise<boolean> {
    return this.deps.access.mayRead(c.get('reader'), visitOf(c), record);
  }

  async found(reference: JobReference): Promise<readonly StoredRecord[]> {
    return (await findRecords(this.deps.store, reference, { onProblem: () => undefined })).records;
  }

  async reference(c: Page): Promise<JobReference | null> {
    const [owner = '', repo = ''] = [c.req.param('owner'), c.req.param('repo')];
    const ids = ['run', 'job', 'attempt'].map((name) => {
      const text = c.req.param(name);
      return text === undefined ? null : numberIn(text);
    });
    const [runId = null, jobId = null, attempt = null] = ids;
    const isBad = ['run', 'job', 'attempt'].some(
      (name, index) => c.req.param(name) !== undefined && ids[index] === null,
    );
    if (isBad || owner === '' || repo === '') return null;
    const host = c.req.param('host') ?? (await this.mainHost());
    const parsed = parseAddress(`https://${host}/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`);
    if (!parsed.ok) return null;
    return {
      kind: 'place',
      host,
      owner,
      repo,
      runId,
      jobId,
      attempt: jobId === null ? attempt : null,
      step: null,
      line: null,
    };
  }

  /** The host whose paths stand at the root: github.com where the archive has it, else its first. */
  async mainHost(): Promise<string> {
    const now = Date.now();
    if (this.#hosts === null || this.#hosts.untilMs < now) {
      this.#hosts = { names: await findHosts(this.deps.store), untilMs: now + HOSTS_KEPT_MS };
    }
    const { names } = this.#hosts;
    return names.includes('github.com') ? 'github.com' : (names[0] ?? 'github.com');
  }

  async addresses(): Promise<Addresses> {
    return addressesOf(await this.mainHost());
  }
}

/** Where a record stands below its repository. */
export function crumbsOf(record: JobRecord): string[] {
  return [record.owner, record.repo, `run ${record.run_id}`];
}
