import type { StoredRecord } from '../../archive/find/find-records.ts';
import { EverlogError } from '../../errors.ts';
import { readLog } from '../../log/log-reader.ts';
import { html, type Html } from '../html.ts';
import { noteHtml } from '../page.ts';
import { repositoryPlace, ReadProblems } from '../read-problems.ts';
import { rangeInAddress, numberIn, QUERY_CHARACTERS_MAX, SECURITY, type Page } from '../requests.ts';
import type { Seals } from '../seal.ts';
import { crumbsOf, type Site, type View } from '../site.ts';
import type { Turns } from '../turns.ts';
import { titleOf } from './job-facts.ts';
import { absencePage, jobPage } from './job-page.ts';
import type { LogWindows } from './log-window.ts';
import { lastWhenProven, pacedStream } from './paced-stream.ts';
import { proofPage, sealLine } from './proof-page.ts';
import { searchPage } from './search-page.ts';

/** What pages of logs keep between requests. */
export interface Views {
  readonly windows: LogWindows;
  readonly seals: Seals;
  /** Whose turn it is to read a whole log. */
  readonly passes: Turns;
  /** Who is being sent a log or a bundle. */
  readonly sendings: Turns;
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
  const reader = c.get('reader');
  const told = problems.told(reader, new Set([repositoryPlace(record)]));
  const addresses = await site.addresses();
  const address = addresses.job(record);
  const crumbs = crumbsOf(record, addresses, titleOf(record));
  const note = (what: View['kind']): Promise<void> =>
    site.deps.noteView({ kind: what, reader, record, key: stored.key });
  // Who asks for the head of something is sent none of it.
  const isHead = c.req.method === 'HEAD';
  if (kind === 'bundle') return bundleOf(site, views, c, stored, () => note(isHead ? 'page' : 'proof'));
  if (kind === 'proof') {
    await note('page');
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
    const doubt = c.req.query('anyway') === '1' ? null : await doubtOf(views, stored, told, address, kind);
    if (doubt !== null) return site.page('Not the last word', crumbs, doubt, 502);
    await note(isHead ? 'page' : kind);
    return logResponse(site, views, c, stored, kind);
  }
  await note('page');
  const query = c.req.query('q')?.slice(0, QUERY_CHARACTERS_MAX) ?? '';
  const { log } = record;
  const { signal } = c.req.raw;
  if (query !== '') {
    const search = { query, page: numberIn(c.req.query('page')) ?? 1, signal };
    const find = (): Promise<Html> => searchPage(site.deps.store, record, log, address, search);
    const found = await views.passes.take(reader, find, signal);
    return site.page(`${query} · ${titleOf(record)}`, crumbs, html`${told} ${found}`);
  }
  const wanted = { lines: rangeInAddress(c.req.query('line')), step: numberIn(c.req.query('step')) };
  const seal = await views.seals.of(stored);
  try {
    const shown = await views.windows.show(record, log, wanted, { reader, signal });
    return site.page(titleOf(record), crumbs, html`${told} ${jobPage(stored, log, shown, seal, address)}`);
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    const content = html`${told}
      <h1>${titleOf(record)}</h1>
      ${sealLine({ kind: 'changed', why: error.message }, false, address)}`;
    return site.page('Not what was archived', crumbs, content, 502);
  }
}

/** What bare bytes cannot say: that they may not be the last word, or are of a record that is not the one that was sealed. */
async function doubtOf(
  views: Views,
  stored: StoredRecord,
  told: Html,
  address: string,
  kind: 'raw' | 'download',
): Promise<Html | null> {
  const seal = await views.seals.of(stored);
  if (told.text === '' && seal.kind !== 'changed') return null;
  const link = html`<a href="${address}/${kind}?anyway=1">The log of the last record that can be read</a>`;
  const line = seal.kind === 'changed' ? sealLine(seal, null, address) : '';
  return html`${told} ${line} ${noteHtml('Not the last word', link)}`;
}

/** The log as GitHub served it. A reader of what turns out not to be the archived bytes sees the answer break off. */
async function logResponse(
  site: Site,
  views: Views,
  c: Page,
  { record }: StoredRecord,
  kind: 'raw' | 'download',
): Promise<Response> {
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
  const { signal, method } = c.req.raw;
  if (method === 'HEAD') return new Response(null, { headers });
  const onEnd = await views.sendings.begin(c.get('reader'), signal);
  return new Response(pacedStream(lastWhenProven(readLog(site.deps.store, log)), { signal, onEnd }), {
    headers,
  });
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
  const reader = c.get('reader');
  await note();
  if (method === 'HEAD')
    return new Response(null, { headers: { ...SECURITY, 'content-type': 'application/x-tar' } });
  const giveBack = await views.sendings.begin(reader, signal);
  try {
    const bundle = await views.passes.take(reader, () => proofBundle(stored), signal);
    const onEnd = async (): Promise<void> => {
      giveBack();
      await bundle.close();
    };
    const headers = {
      ...SECURITY,
      'content-type': 'application/x-tar',
      'content-disposition': `attachment; filename="${bundle.fileName}"`,
    };
    return new Response(pacedStream(bundle.body, { signal, onEnd }), { headers });
  } catch (error) {
    giveBack();
    throw error;
  }
}
