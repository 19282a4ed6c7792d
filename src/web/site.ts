import type { Hono } from 'hono';
import { findRecords, type StoredRecord } from '../archive/find/find-records.ts';
import { findHosts } from '../archive/find/hosts.ts';
import { parseAddress, type JobReference } from '../archive/find/job-reference.ts';
import { recordsPrefix } from '../archive/keys.ts';
import type { JobRecord } from '../archive/record.ts';
import { findNameHistory } from '../archive/repository-names.ts';
import { EverlogError, messageOf } from '../errors.ts';
import type { JobIndex } from '../index/job-index.ts';
import type { Log } from '../logger.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { Access, Reader, RepositoryPath } from './access/access.ts';
import type { StatusFacts } from './browse/status-page.ts';
import { html, type Html } from './html.ts';
import { addressesOf, type Addresses } from './log/job-facts.ts';
import { noteHtml, pageOf, type Crumb } from './page.ts';
import type { ReadProblems } from './read-problems.ts';
import { numberIn, SECURITY, type Page } from './requests.ts';

/** What a view is written down as. */
export interface View {
  readonly kind: 'page' | 'raw' | 'download' | 'proof';
  readonly reader: Reader;
  readonly record: JobRecord;
  readonly key: string;
}

/** A bundle that proves one job, as a file that is sent while it is read. */
export interface ProofBundle {
  readonly fileName: string;
  readonly body: AsyncGenerator<Uint8Array>;
  /** Gives back what it took; to be called when it has been sent, or nobody wants it any more. */
  close(): Promise<void>;
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
  readonly status: () => Promise<StatusFacts>;
  /** Opens the query index; null where there is none. The caller closes it. */
  readonly openIndex: (
    onProblem: (key: string, problem: string) => void,
  ) => Promise<{ readonly index: JobIndex; close(): Promise<void> } | null>;
  /** Makes the bundle that proves a job; null where it is not offered. */
  readonly proofBundle: ((stored: StoredRecord) => Promise<ProofBundle>) | null;
  readonly now: () => Date;
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

  page(title: string, crumbs: readonly Crumb[], content: Html, status = 200): Response {
    return new Response(pageOf({ title, crumbs }, content), {
      status,
      headers: { ...SECURITY, 'content-type': 'text/html; charset=utf-8' },
    });
  }

  /** Every refusal is this same page, so that nobody learns which jobs there are. */
  missing(): Response {
    const content = noteHtml(
      'Not here',
      'This archive has no such job that you may see.',
      'Paste another address above, or look at the newest jobs.',
      html`<a href="/">Newest jobs</a>`,
    );
    return this.page('Not here', [], content, 404);
  }

  /**
   * Where nothing was found: what could not be read may be what was asked for, and only somebody who may read everything
   * may be told so.
   */
  missingOrUnread(c: Page, problems: ReadProblems): Response {
    const reader = c.get('reader');
    const none = new Set<string>();
    if (problems.shownTo(reader, none) === 0) return this.missing();
    const content = html`${noteHtml('It cannot be read')} ${problems.told(reader, none)}`;
    return this.page('It cannot be read', [], content, 502);
  }

  /** `isGone`: whether the reader has left, and so it does not matter. */
  failed(error: unknown, isGone: boolean): Response {
    if (error instanceof EverlogError && error.code === 'object_corrupt') {
      const content = html`${noteHtml('Not what was archived')}
        <p class="seal wrong">${error.message}</p>`;
      return this.page('Not what was archived', [], content, 502);
    }
    if (error instanceof EverlogError && error.code === 'usage')
      return this.page('Too much', [], noteHtml('Too much for one page', `${error.message}.`), 400);
    if (error instanceof EverlogError && error.code === 'web_busy')
      return this.page(
        'Busy',
        [],
        noteHtml('Busy', 'Too much is being read at once. Try again in a moment.'),
        503,
      );
    if (!isGone) this.deps.log.error({ error: messageOf(error) }, 'a page could not be made');
    const heading = silenceOf(error);
    return this.page(heading, [], noteHtml(heading, 'Try again in a moment.'), 502);
  }

  /** Whether the reader may see a repository of this name at all; asked before the archive is. */
  maySee(c: Page, place: RepositoryPath): Promise<boolean> {
    return this.deps.access.maySee(c.get('reader'), place);
  }

  may(c: Page, record: JobRecord): Promise<boolean> {
    return this.deps.access.mayRead(c.get('reader'), record);
  }

  async found(reference: JobReference, problems: ReadProblems): Promise<readonly StoredRecord[]> {
    return (await findRecords(this.deps.store, reference, problems.hooks)).records;
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
    if (!parsed.ok || !(await this.#hostNames()).includes(host)) return null;
    const ofRun = jobId === null ? attempt : null;
    return { kind: 'place', host, owner, repo, runId, jobId, attempt: ofRun, step: null, line: null };
  }

  /** The host whose paths stand at the root: github.com where the archive has it, else its first. */
  async mainHost(): Promise<string> {
    const names = await this.#hostNames();
    return names.includes('github.com') ? 'github.com' : (names[0] ?? 'github.com');
  }

  /** Whether a repository of this name may have records: one short listing where the archive knows no such name. */
  async hasRecords(host: string, owner: string, repo: string): Promise<boolean> {
    const { store } = this.deps;
    if (!(await this.#hostNames()).includes(host)) return false;
    if ((await findNameHistory(store, host, owner, repo)).repositoryIds.size > 0) return true;
    for await (const _object of store.list(recordsPrefix({ host, owner, repo }))) return true;
    return false;
  }

  /** Whether all that the archive has under a name is the reader's to know: others may have borne it before. */
  async mayCount(c: Page, host: string, owner: string, repo: string): Promise<boolean> {
    if (c.get('reader').readsAll) return true;
    return (await findNameHistory(this.deps.store, host, owner, repo)).repositoryIds.size === 1;
  }

  async #hostNames(): Promise<readonly string[]> {
    const now = this.deps.now().getTime();
    if (this.#hosts === null || this.#hosts.untilMs < now) {
      this.#hosts = { names: await findHosts(this.deps.store), untilMs: now + HOSTS_KEPT_MS };
    }
    return this.#hosts.names;
  }

  async addresses(): Promise<Addresses> {
    return addressesOf(await this.mainHost());
  }
}

/** Who did not answer, as far as an error says. */
function silenceOf(error: unknown): string {
  const code = error instanceof EverlogError ? error.code : '';
  if (code.startsWith('github_')) return 'GitHub does not answer';
  if (code.startsWith('queue_')) return 'The queue does not answer';
  return code.startsWith('store_') ? 'The archive does not answer' : 'This page could not be made';
}

/** Where a record stands below its repository; `title` names the page itself. */
export function crumbsOf(record: JobRecord, addresses: Addresses, title: string | null): Crumb[] {
  const { owner, repo, run_id } = record;
  const crumbs: Crumb[] = [
    { name: owner, href: `/?owner=${encodeURIComponent(owner)}` },
    { name: repo, href: addresses.repository(record) },
    { name: `run ${run_id}`, href: title === null ? null : addresses.run(record) },
  ];
  return title === null ? crumbs : [...crumbs, { name: title, href: null }];
}
