import type { StoredRecord } from '../../archive/find/find-records.ts';
import type { JobRecord } from '../../archive/record.ts';
import { EverlogError } from '../../errors.ts';
import { readLog } from '../../log/log-reader.ts';
import { html } from '../html.ts';
import { noteOf } from '../page.ts';
import { placeOf, ReadProblems } from '../read-problems.ts';
import { linesIn, numberIn, QUERY_CHARACTERS_MAX, SECURITY, type Page } from '../requests.ts';
import type { Seals } from '../seal.ts';
import { crumbsOf, type Site, type View } from '../site.ts';
import type { Turns } from '../turns.ts';
import { titleOf } from './job-facts.ts';
import { absencePage, jobPage } from './job-page.ts';
import type { LogWindows } from './log-window.ts';
import { pacedStream } from './paced-stream.ts';
import { proofPage, sealLine } from './proof-page.ts';
import { searchPage } from './search-page.ts';

/** What pages of logs keep between requests. */
export interface Views {
  readonly windows: LogWindows;
  readonly seals: Seals;
  /** Whose turn it is to read a whole log. */
  readonly passes: Turns;
}

export type JobView = 'page' | 'raw' | 'download' | 'proof' | 'bundle';

/** A job's log: as a page, as GitHub's bytes, or what proves it. */
export async function job(site: Site, views: Views, c: Page, kind: JobView): Promise<Response> {
  const reference = await site.reference(c);
  const problems = new ReadProblems();
  const [stored] = reference === null ? [] : await site.found(reference, problems);
  if (stored === undefined) return site.missingOrUnread(c, problems);
  const { record } = stored;
  if (!(await site.may(c, record))) return site.missing();
  const told = problems.told(c.get('reader'), new Set([placeOf(record)]));
  const addresses = await site.addresses();
  const address = addresses.job(record);
  const crumbs = crumbsOf(record, addresses, titleOf(record));
  const note = (what: View['kind']): Promise<void> =>
    site.deps.noteView({ kind: what, reader: c.get('reader'), record, key: stored.key });
  if (kind === 'bundle') return bundleOf(site, views, c, stored, () => note('proof'));
  if (kind === 'proof') {
    const seal = await views.seals.of(stored);
    const content = html`${told} ${proofPage(stored, seal, address, site.deps.proofBundle !== null)}`;
    return site.page(`Proof of ${titleOf(record)}`, crumbs, content);
  }
  if (record.log === null) {
    if (kind !== 'page') return site.missing();
    await note('page');
    const content = html`${told} ${absencePage(record, await views.seals.of(stored), address)}`;
    return site.page(titleOf(record), crumbs, content);
  }
  if (kind !== 'page') {
    // Bare bytes cannot say that they may not be the last word.
    if (told.text !== '' && c.req.query('anyway') !== '1') {
      const link = html`<a href="${address}/${kind}?anyway=1"
        >The log of the last record that can be read</a
      >`;
      return site.page('Not the last word', crumbs, html`${told} ${noteOf('Not the last word', link)}`, 502);
    }
    await note(kind);
    return bytesOf(site, record, kind, c.req.raw.signal);
  }
  await note('page');
  const query = c.req.query('q')?.slice(0, QUERY_CHARACTERS_MAX) ?? '';
  const { log } = record;
  const { signal } = c.req.raw;
  if (query !== '') {
    const search = { query, page: numberIn(c.req.query('page')) ?? 1, signal };
    const found = await views.passes.take(
      () => searchPage(site.deps.store, record, log, address, search),
      signal,
    );
    return site.page(`${query} · ${titleOf(record)}`, crumbs, html`${told} ${found}`);
  }
  const wanted = { lines: linesIn(c.req.query('line')), step: numberIn(c.req.query('step')) };
  const seal = await views.seals.of(stored);
  try {
    const shown = await views.windows.show(record, log, wanted, signal);
    return site.page(titleOf(record), crumbs, html`${told} ${jobPage(stored, log, shown, seal, address)}`);
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    const content = html`${told}
      <h1>${titleOf(record)}</h1>
      ${sealLine({ kind: 'changed', why: error.message }, false, address)}`;
    return site.page('Not what was archived', crumbs, content, 502);
  }
}

/** The log as GitHub served it. A reader of what turns out not to be the archived bytes sees the answer break off. */
function bytesOf(site: Site, record: JobRecord, kind: 'raw' | 'download', signal: AbortSignal): Response {
  const { log } = record;
  if (log === null) throw new Error('a job without a log has no bytes');
  const name = `${record.run_id}-${record.run_attempt ?? 1}-${record.job_id}.log`;
  const headers = {
    ...SECURITY,
    'content-security-policy': "default-src 'none'; sandbox",
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(log.bytes),
    ...(kind === 'download' ? { 'content-disposition': `attachment; filename="${name}"` } : {}),
  };
  return new Response(pacedStream(readLog(site.deps.store, log), { signal }), { headers });
}

/** The bundle that proves a job; what cannot be made into one is told before the first byte. */
async function bundleOf(
  site: Site,
  views: Views,
  c: Page,
  stored: StoredRecord,
  note: () => Promise<void>,
): Promise<Response> {
  const { proofBundle } = site.deps;
  if (proofBundle === null) return site.missing();
  const { signal, method } = c.req.raw;
  if (method === 'HEAD')
    return new Response(null, { headers: { ...SECURITY, 'content-type': 'application/x-tar' } });
  await note();
  const bundle = await views.passes.take(() => proofBundle(stored), signal);
  const headers = {
    ...SECURITY,
    'content-type': 'application/x-tar',
    'content-disposition': `attachment; filename="${bundle.fileName}"`,
  };
  return new Response(pacedStream(bundle.body, { signal, onEnd: () => bundle.close() }), { headers });
}
