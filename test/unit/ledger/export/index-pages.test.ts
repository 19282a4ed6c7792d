import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ChosenRecord } from '../../../../src/ledger/export/choose-jobs.ts';
import { indexCsv } from '../../../../src/ledger/export/bundle/index-csv.ts';
import { indexHtml } from '../../../../src/ledger/export/bundle/index-html.ts';
import type { IndexRow } from '../../../../src/ledger/export/bundle/index-rows.ts';

/** What somebody may call a job, a branch or a workflow, so that a page about it acts. */
const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  "' autofocus onfocus=alert(1) x='",
  '</td></tr></table><form action=https://evil.example><input>',
  '</style><style>*{display:none}</style>',
  '<!-- ',
  '-->',
  ']]>',
  '<a href="javascript:alert(1)">x</a>',
  'javascript:alert(1)',
  '&lt;script&gt;',
  '&#x3c;script&#x3e;',
  '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<base href=https://evil.example>',
  '<link rel=stylesheet href=//evil.example>',
  '<iframe srcdoc="<script>1</script>">',
  '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
  'invoice\u202egpj.exe',
  'a\u2066b\u2069c',
  'zero\u200bwidth\u200d\ufeff',
  'tag\u{e0041}\u{e007f}',
  'esc\u001b]0;title\u0007\u001b[2J',
  'c1\u009b2J',
  'null\u0000byte',
  'line\r\nbreak\u2028and\u2029more',
  'lone\ud800surrogate',
  '{{constructor.constructor("alert(1)")()}}',
  '=HYPERLINK("https://evil.example","x")',
  '+cmd|calc!A0',
  '-2+3',
  '@SUM(A1)',
  '\t=1+1',
  '"quoted", and "more"',
  'x'.repeat(100_000),
];

function rowOf(text: string): IndexRow {
  const record: ChosenRecord = {
    key: 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/1.json',
    address: { host: 'github.com', owner: 'octo-org', repo: 'octo-repo', runId: 1, runAttempt: 1, jobId: 1 },
    revision: 1,
    writtenMs: 0,
    sha256: '',
    askedFor: null,
    facts: {
      host: text,
      owner: text,
      repo: text,
      run_id: 1,
      run_attempt: null,
      job_id: 1,
      job_name: text,
      workflow_name: text,
      head_branch: text,
      head_sha: text,
      conclusion: text,
      outcome: text,
      started_at: text,
      completed_at: text,
      recorded_at: text,
      log: { key: 'v1/logs/a"b/<c>.log.gz', sha256: text, bytes: 5 },
    },
  };
  return { status: 'sealed', askedFor: text, record, sequence: 7, custody: null, problem: null };
}

const SUMMARY = {
  madeAt: '2026-11-21T00:00:00.000Z',
  archive: 's3://bucket/archive',
  version: '0.1.0',
  scope: { repo: 'octo-org/octo-repo' },
  sequences: [1, 2, 3, 7],
  keyIds: ['ab'.repeat(32)],
};

/** Tags of a page, by name, with their attributes; what is not markup is not among them. */
function tagsOf(html: string): string[] {
  return [...html.replace(/<style>[^<]*<\/style>/, '').matchAll(/<[^>]*>/g)].map(([tag]) => tag);
}

const ALLOWED_TAG =
  /^<(?:!doctype html|\/?(?:html|head|body|title|h1|h2|p|dl|dt|dd|ul|li|div|table|caption|thead|tbody|tr|th|td|bdi|code|span|br|a|meta)(?: (?:lang|charset|http-equiv|content|name|class|colspan|title|href)="[^"<>]*")*)>$/;

describe('index.html', () => {
  test.each(HOSTILE.map((text) => [text.slice(0, 40), text]))(
    'stays inert whatever a name is: %j',
    (_, text) => {
      const html = indexHtml([rowOf(text)], { ...SUMMARY, archive: text, scope: { branch: text } });
      const tags = tagsOf(html);
      expect(tags.filter((tag) => !ALLOWED_TAG.test(tag))).toEqual([]);
      // The same marks as for any other name, and nothing unseen.
      expect(tags.length).toBe(
        tagsOf(indexHtml([rowOf('other')], { ...SUMMARY, scope: { branch: 'x' } })).length,
      );
      expect(html).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u);
      const hrefs = [...html.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href);
      expect(hrefs.every((href) => /^(?:index\.csv|v1\/[\w%.\-/()!~*']+)$/.test(href))).toBe(true);
      expect(html.length).toBeLessThan(60_000);
    },
  );

  test('allows nothing but its own style', () => {
    const html = indexHtml([rowOf('x')], SUMMARY);
    const [, style = ''] = /<style>([^<]*)<\/style>/.exec(html) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
    expect(html).toContain(`<meta http-equiv="Content-Security-Policy" content="${policy}">`);
    expect(html).not.toMatch(/<script|<img|<link|<iframe|style=|https?:/);
  });

  test('tells of what is missing, and where the rest of a long list is', () => {
    const rows: IndexRow[] = [
      { status: 'no_job', askedFor: 'deadbeef', record: null, sequence: null, custody: null, problem: null },
      ...Array.from({ length: 6_000 }, () => rowOf('job')),
    ];
    const html = indexHtml(rows, SUMMARY);
    expect(html).toContain('no job of commit <span class="hash">deadbeef</span>');
    expect(html).toContain('The first 5,000 of 6,001');
    expect(html).toContain('<dd>1–3, 7</dd>');
  });
});

describe('index.csv', () => {
  test.each(HOSTILE.map((text) => [text.slice(0, 40), text]))(
    'stays a table whatever a name is: %j',
    (_, text) => {
      const lines = indexCsv([rowOf(text), rowOf('x')]).split('\r\n');
      expect(lines).toHaveLength(4);
      const fields = parseCsvLine(lines[1] ?? '');
      expect(fields).toHaveLength(parseCsvLine(lines[0] ?? '').length);
      for (const field of fields) expect(field).toMatch(/^(?![=+\-@\t\r])[^\p{C}\u2028\u2029]*$/u);
    },
  );
});

/** Fields of one line, all quoted. */
function parseCsvLine(line: string): string[] {
  expect(line).toMatch(/^"(?:[^"]|"")*"(?:,"(?:[^"]|"")*")*$/);
  return [...line.matchAll(/"((?:[^"]|"")*)"(?:,|$)/g)].map(([, field = '']) => field.replaceAll('""', '"'));
}
