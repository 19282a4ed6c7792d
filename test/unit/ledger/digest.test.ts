import { describe, expect, it } from 'vitest';
import {
  countedOutcomes,
  DIGEST_BYTES_MAX,
  parseStandingDigest,
  serializeDigest,
} from '../../../src/ledger/formats/digest.ts';
import { entryLine, gapLine } from '../../../src/ledger/formats/entry-line.ts';
import type { Digest } from '../../../src/ledger/formats/formats.ts';

const HASH = 'f'.repeat(64);
const MOST = Number.MAX_SAFE_INTEGER;

function digest(changes: Partial<Digest> = {}): Digest {
  return {
    algorithm: 'Ed25519',
    schema: 'everlog.digest/v1',
    stream: `everlog/${'f'.repeat(32)}`,
    sequence: MOST,
    window_start: '2026-11-20T00:00:00.000Z',
    window_end: '2026-11-20T01:00:00.000Z',
    created_at: '2026-11-20T01:00:01.000Z',
    interval_seconds: MOST,
    final: false,
    archive: 's3://bucket/prefix',
    entries: {
      file: `${HASH}.entries.ndjson.gz`,
      sha256: HASH,
      bytes: MOST,
      stored_sha256: HASH,
      stored_bytes: MOST,
      count: MOST,
      merkle_root: HASH,
    },
    completeness: {
      reconciled_through: '2026-11-20T00:00:00.000Z',
      expected: MOST,
      archived: MOST,
      absent: {},
      pending: MOST,
      failed: MOST,
      gaps: { file: `${HASH}.gaps.ndjson`, sha256: HASH, stored_sha256: HASH, count: MOST },
    },
    storage: {
      lock_mode: 'COMPLIANCE',
      retention_days: MOST,
      create_only: 'atomic',
      queue_durability: 'aof',
    },
    previous: { sequence: MOST, sha256: HASH },
    key_id: HASH,
    ...changes,
  };
}

describe('serializeDigest', () => {
  it('writes one line, members in the order of the format', () => {
    const text = serializeDigest(digest()).toString();
    expect(text.endsWith('}\n')).toBe(true);
    expect(Object.keys(JSON.parse(text))).toEqual([
      'schema',
      'stream',
      'sequence',
      'window_start',
      'window_end',
      'created_at',
      'interval_seconds',
      'final',
      'archive',
      'entries',
      'completeness',
      'storage',
      'previous',
      'key_id',
      'algorithm',
    ]);
  });

  it.each([
    ['letters', 'x'],
    ['what JSON escapes', '\u0001'],
    ['characters of four bytes', '𝄞'],
    ['characters of three bytes', '€'],
  ])('stays within 4,096 bytes wherever the archive is: %s', (_, character) => {
    const absent = Object.fromEntries(
      Array.from({ length: 100 }, (__, index) => [String.fromCharCode(97 + (index % 26)).repeat(32), MOST]),
    );
    const { completeness, storage } = digest();
    const bytes = serializeDigest(
      digest({
        archive: `file:/${character.repeat(4_096)}`,
        completeness: { ...completeness, absent },
        storage: { ...storage, queue_durability: character.repeat(500) },
      }),
    );
    expect(bytes.byteLength).toBeLessThanOrEqual(DIGEST_BYTES_MAX);
    expect(JSON.parse(bytes.toString())).toMatchObject({
      archive: expect.stringMatching(/^file:\/.*…$/su),
    });
    expect(parseStandingDigest(bytes)?.sequence).toBe(MOST);
  });

  it('says where the archive is in full where there is room', () => {
    const archive = `s3://bucket/${'p'.repeat(900)}`;
    expect(JSON.parse(serializeDigest(digest({ archive })).toString())).toMatchObject({ archive });
  });
});

describe('countedOutcomes', () => {
  it('adds up by name, in order, and gathers what is no name', () => {
    const counts = countedOutcomes([
      ['expired', 2],
      ['__proto__', 1],
      ['carried_over', 1],
      ['expired', 1],
      ['<b>', 1],
    ]);
    expect(JSON.stringify(counts)).toBe('{"carried_over":1,"expired":3,"other":2}');
  });

  it('names sixteen at most', () => {
    const many = Array.from(
      { length: 40 },
      (_, index) => [`o_${String.fromCharCode(97 + (index % 26))}`, 1] as const,
    );
    const counts = countedOutcomes(many);
    expect(Object.keys(counts).length).toBe(17);
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(40);
  });
});

describe('parseStandingDigest', () => {
  it.each(['', '{}', 'null', 'x'.repeat(5_000)])('answers null to %.20j', (text) => {
    expect(parseStandingDigest(Buffer.from(text))).toBeNull();
  });
});

describe('lines', () => {
  it('have their members in the order of the format', () => {
    const log = { sha256: HASH, bytes: 1, version_id: 'v', key: 'l' };
    expect(entryLine({ log, sha256: HASH, bytes: 2, version_id: null, key: 'k\n', type: 'record' })).toBe(
      `{"type":"record","key":"k\\n","version_id":null,"bytes":2,"sha256":"${HASH}","log":{"key":"l","version_id":"v","bytes":1,"sha256":"${HASH}"}}`,
    );
    const gap = {
      reason: 'r',
      since: null,
      jobs: 1,
      job_id: 5,
      run_attempt: 1,
      run_id: 4,
      repository_id: 3,
      repo: 'b',
      owner: 'a',
      host: 'h',
    };
    expect(gapLine(gap)).toBe(
      '{"host":"h","owner":"a","repo":"b","repository_id":3,"run_id":4,"run_attempt":1,"job_id":5,"jobs":1,"reason":"r","since":null}',
    );
  });
});
