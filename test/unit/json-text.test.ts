import { describe, expect, test } from 'vitest';
import { JsonText, objectText } from '../../src/json-text.ts';

function read(text: string): JsonText {
  const found = JsonText.read(text);
  if (found === null) throw new Error(`no JSON: ${text.slice(0, 100)}`);
  return found.json;
}

/** Numbers in [0, 1), the same at every run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NAMES = [
  'job',
  'jobs',
  '__proto__',
  'constructor',
  '',
  'a"b',
  'a\\',
  '\u2028',
  '\ud800',
  '}',
  '{"job":1}',
];
const SCALARS = [
  'null',
  'true',
  'false',
  '-0',
  '9007199254740993',
  '1e400',
  '-1.5E-7',
  '""',
  String.raw`"\\"`,
  String.raw`"\""`,
  String.raw`"\\\""`,
  String.raw`"\ud800"`,
  String.raw`"}],:{["`,
  '"ünïcode № 🚀"',
];

/** A JSON text of every oddity that the grammar allows, and what its parts are. */
class Maker {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  value(depth: number): string {
    const kind = depth === 0 ? 0 : this.#below(3);
    if (kind === 0) return this.#one(SCALARS);
    const parts = Array.from({ length: this.#below(5) }, () => this.value(depth - 1));
    return kind === 1 ? this.array(parts) : this.object(parts.map((part) => [this.name(), part]));
  }

  /** The same name in one of several spellings. */
  name(): string {
    const name = this.#one(NAMES);
    const escaped = (): string =>
      Array.from(
        { length: name.length },
        (_, at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`,
      ).join('');
    return this.#below(2) === 0 ? JSON.stringify(name) : `"${escaped()}"`;
  }

  array(parts: readonly string[]): string {
    return `[${this.#space()}${parts.map((part) => part + this.#space()).join(`,${this.#space()}`)}]`;
  }

  object(members: readonly (readonly [string, string])[]): string {
    const texts = members.map(
      ([key, part]) => `${key}${this.#space()}:${this.#space()}${part}${this.#space()}`,
    );
    return `{${this.#space()}${texts.join(`,${this.#space()}`)}}`;
  }

  around(text: string): string {
    return this.#space() + text + this.#space();
  }

  #space(): string {
    return this.#one(['', '', ' ', '\n', '\r\n\t ']);
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #one<T>(from: readonly T[]): T {
    const chosen = from[this.#below(from.length)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }
}

describe('what is cut out of any JSON text', () => {
  test('is, of an object, each member as it stands there, the last of one name', () => {
    for (let seed = 1; seed <= 3_000; seed += 1) {
      const maker = new Maker(seed);
      const members = Array.from({ length: seed % 7 }, () => [maker.name(), maker.value(4)] as const);
      const text = maker.around(maker.object(members));
      const json = read(text);
      expect(json.text).toBe(text.trim());
      const value: unknown = JSON.parse(text);
      const parsed = new Map<string, unknown>(Object.entries(value ?? {}));
      for (const name of NAMES) {
        const last = members.findLast(([key]) => JSON.parse(key) === name)?.[1];
        const member = json.member(name);
        expect(member?.text).toBe(last);
        expect(member?.value()).toEqual(parsed.get(name));
      }
    }
  });

  test('is, of an array, each element as it stands there', () => {
    for (let seed = 1; seed <= 2_000; seed += 1) {
      const maker = new Maker(seed);
      const parts = Array.from({ length: seed % 6 }, () => maker.value(4));
      const json = read(maker.around(maker.array(parts)));
      expect([...json.elements()].map(({ text }) => text)).toEqual(parts);
    }
  });

  test('is nothing where JSON.parse finds no JSON', () => {
    const maker = new Maker(7);
    for (let at = 0; at < 2_000; at += 1) {
      const text = maker.value(4);
      const cut = text.slice(0, at % (text.length + 1));
      let isJson = true;
      try {
        JSON.parse(cut);
      } catch {
        isJson = false;
      }
      expect(JsonText.read(cut) !== null).toBe(isJson);
    }
    for (const text of ['', ' ', '\ufeff{}', '{}x', '{"a":1,}', "{'a':1}", '[1,]', 'undefined', '01', 'NaN'])
      expect(JsonText.read(text)).toBeNull();
  });
});

test('a value has no members, and an object no elements', () => {
  for (const text of ['1', '"{\\"a\\":1}"', '[{"a":1}]', 'null']) expect(read(text).member('a')).toBeNull();
  for (const text of ['1', '"[1]"', '{"a":[1]}', 'null']) expect([...read(text).elements()]).toEqual([]);
});

test('nesting of any depth and strings of any length take one pass', () => {
  const deep = `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)},"job":{"x":1}}`;
  expect(read(deep).member('job')?.text).toBe('{"x":1}');
  const quotes = `{"a":"${String.raw`\\\"`.repeat(500_000)}","job":2}`;
  const startedMs = performance.now();
  expect(read(quotes).member('job')?.text).toBe('2');
  // Quadratic, it would be hours.
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});

test('an object is written with its texts as they are', () => {
  const job = read('{ "n" : 1e400 }');
  const text = objectText({ a: 'x"', job, none: undefined, jobs: [job, job], list: [1], empty: [] });
  expect(text).toBe(
    '{"a":"x\\"","job":{ "n" : 1e400 },"jobs":[{ "n" : 1e400 },{ "n" : 1e400 }],"list":[1],"empty":[]}',
  );
});
