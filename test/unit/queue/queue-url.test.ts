import { describe, expect, test } from 'vitest';
import { parseQueueUrl } from '../../../src/queue/queue-url.ts';

const READ: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['redis://queue', { host: 'queue', port: 6379, db: 0 }, 'redis://queue:6379/0'],
  ['redis://queue:7000/', { host: 'queue', port: 7000, db: 0 }, 'redis://queue:7000/0'],
  ['redis://10.0.0.1:7000/12', { host: '10.0.0.1', port: 7000, db: 12 }, 'redis://10.0.0.1:7000/12'],
  ['redis://[2001:db8::1]:7000', { host: '2001:db8::1', port: 7000, db: 0 }, 'redis://[2001:db8::1]:7000/0'],
  [
    'rediss://user:secret@queue.example.com',
    {
      host: 'queue.example.com',
      port: 6379,
      db: 0,
      username: 'user',
      password: 'secret',
      tls: { servername: 'queue.example.com' },
    },
    'rediss://queue.example.com:6379/0',
  ],
  ['redis://:secret@queue', { host: 'queue', port: 6379, db: 0, password: 'secret' }, 'redis://queue:6379/0'],
  [
    'redis://us%40er:s%23e%3Fc%2Fr%40e%25t%3A%20%C3%BC@queue/1',
    { host: 'queue', port: 6379, db: 1, username: 'us@er', password: 's#e?c/r@e%t: ü' },
    'redis://queue:6379/1',
  ],
  [
    'redis+sentinel://user:p@ss@one/main',
    { sentinels: [{ host: 'one', port: 26_379 }], name: 'main', db: 0, username: 'user', password: 'p@ss' },
    'redis+sentinel://one/main/0',
  ],
  [
    'redis+sentinel://one/main',
    { sentinels: [{ host: 'one', port: 26_379 }], name: 'main', db: 0 },
    'redis+sentinel://one/main/0',
  ],
  [
    'redis+sentinel://user:s%23e%2Fcret%40@one:1,two:2,[2001:db8::3]:3/main/4',
    {
      sentinels: [
        { host: 'one', port: 1 },
        { host: 'two', port: 2 },
        { host: '2001:db8::3', port: 3 },
      ],
      name: 'main',
      db: 4,
      username: 'user',
      password: 's#e/cret@',
    },
    'redis+sentinel://one:1,two:2,[2001:db8::3]:3/main/4',
  ],
];

/** A canary stands wherever a secret might, by mistake or misread. */
const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['', /is none of embedded:FOLDER/],
  ['data/queue', /is none of/],
  ['http://canary@queue', /is none of/],
  ['REDIS://queue', /is none of/],
  ['embedded:', /names no folder/],
  ['redis:', /not a URL|names no host/],
  ['redis://', /not a URL|names no host/],
  ['redis://queue:port', /is not a URL/],
  ['redis://queue/main', /database that is not a number/],
  ['redis://queue/12345', /database that is not a number/],
  ['redis://:canary%@queue', /percent encoding/],
  ['redis://:canary%zz@queue', /percent encoding/],
  ['redis://canary:123#x@queue', /percent encoding/],
  ['redis://canary:123?x@queue', /percent encoding/],
  ['redis://canary:123/x@queue', /database that is not a number/],
  ['redis://:canary#x@queue', /not a URL|percent encoding/],
  ['redis+sentinel://one', /HOST:PORT\[,HOST:PORT\]\/NAME/],
  ['redis+sentinel:///main', /HOST:PORT/],
  ['redis+sentinel://one/main/x', /HOST:PORT/],
  ['redis+sentinel://one:port/main', /sentinel that is not HOST:PORT/],
  ['redis+sentinel://:canary%@one/main', /percent encoding/],
  ['redis+sentinel://canary:123#x@one/main', /percent encoding/],
  ['redis+sentinel://canary:123/x@one/main', /percent encoding/],
];

describe('the address of a queue', () => {
  for (const [text, options, location] of READ) {
    test(`${text} is read, and shown without its credentials`, () => {
      expect(parseQueueUrl(text)).toEqual({ ok: true, url: { kind: 'redis', options, location } });
    });
  }

  for (const [text, problem] of REFUSED) {
    test(`${text} is refused without being repeated`, () => {
      const parsed = parseQueueUrl(text);
      expect(parsed).toEqual({ ok: false, problem: expect.stringMatching(problem) });
      expect(JSON.stringify(parsed)).not.toContain('canary');
    });
  }

  test('a folder may be named as anything', () => {
    for (const folder of ['./data/queue', '/var/lib/ev er/ü#?', '..', 'C:\\queue'])
      expect(parseQueueUrl(`embedded:${folder}`)).toEqual({ ok: true, url: { kind: 'embedded', folder } });
  });
});
