import type { JobRecord } from '../archive/record.ts';
import { EverlogError } from '../errors.ts';
import { readLog } from '../log/log-reader.ts';
import { html } from './html.ts';
import { absencePage, jobPage, proofPage, sealLine, titleOf } from './job-page.ts';
import type { LogWindows } from './log/log-window.ts';
import { lineIn, numberIn, QUERY_CHARACTERS_MAX, SECURITY, type Page } from './requests.ts';
import { searchPage } from './search-page.ts';
import type { Seals } from './seal.ts';
import { crumbsOf, type Site } from './site.ts';

/** What pages of logs keep between requests. */
export interface Views {
  readonly windows: LogWindows;
  readonly seals: Seals;
}

/** A job's log: as a page, as GitHub's bytes, or what proves it. */
export async function job(
  site: Site,
  views: Views,
  c: Page,
  kind: 'page' | 'raw' | 'download' | 'proof',
): Promise<Response> {
  const reference = await site.reference(c);
  const [stored] = reference === null ? [] : await site.found(reference);
  if (stored === undefined || !(await site.may(c, stored.record))) return site.missing();
  const { record } = stored;
  const crumbs = [...crumbsOf(record), titleOf(record)];
  if (record.log === null && kind !== 'proof') return site.page(titleOf(record), crumbs, absencePage(record));
  if (kind === 'proof') return site.page('Proof', crumbs, proofPage(stored, await views.seals.of(stored)));
  if (record.log === null) return site.missing();
  await site.deps.noteView({ kind, reader: c.get('reader'), record, key: stored.key });
  if (kind !== 'page') return bytesOf(site, record, kind);
  const address = (await site.addresses()).job(record);
  const query = c.req.query('q')?.slice(0, QUERY_CHARACTERS_MAX) ?? '';
  if (query !== '') {
    const content = await searchPage(
      site.deps.store,
      record,
      record.log,
      address,
      query,
      numberIn(c.req.query('page')) ?? 1,
    );
    return site.page(`${query} · ${titleOf(record)}`, crumbs, content);
  }
  const wanted = { line: lineIn(c.req.query('line')), step: numberIn(c.req.query('step')) };
  const seal = await views.seals.of(stored);
  try {
    const shown = await views.windows.show(record, record.log, wanted);
    return site.page(titleOf(record), crumbs, jobPage(stored, record.log, shown, seal, address, null));
  } catch (error) {
    if (!(error instanceof EverlogError) || error.code !== 'object_corrupt') throw error;
    const content = html`<h1>${titleOf(record)}</h1>
      ${sealLine({ kind: 'changed', why: error.message }, false, address)}`;
    return site.page('Not what was archived', crumbs, content, 502);
  }
}

/** The log as GitHub served it. A reader of what turns out not to be the archived bytes sees the answer break off. */
function bytesOf(site: Site, record: JobRecord, kind: 'raw' | 'download'): Response {
  const { log } = record;
  if (log === null) throw new Error('a job without a log has no bytes');
  const chunks = readLog(site.deps.store, log);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
  const name = `${record.run_id}-${record.run_attempt ?? 1}-${record.job_id}.log`;
  const headers = {
    ...SECURITY,
    'content-security-policy': "default-src 'none'; sandbox",
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(log.bytes),
    ...(kind === 'download' ? { 'content-disposition': `attachment; filename="${name}"` } : {}),
  };
  return new Response(body, { headers });
}
