import { describe, expect, test } from 'vitest';
import { createTerminalSanitiser, inertText } from '../../../src/log/terminal-sanitiser.ts';

const ESC = '\u001b';
const ST = `${ESC}\\`;

/** Latin-1 keeps one character per byte, so bytes that are not UTF-8 can be written down as well. */
function bytesOf(text: string | Buffer): Buffer {
  return Buffer.isBuffer(text) ? text : Buffer.from(text, 'utf8');
}

function filtered(input: Buffer, color: boolean, chunks: readonly Buffer[] = [input]): Buffer {
  const filter = createTerminalSanitiser({ color });
  return Buffer.concat([...chunks.map((chunk) => Buffer.from(filter.push(chunk))), filter.end()]);
}

/** What goes in, and what a terminal may get of it with colours off and on. */
const CORPUS: readonly [
  name: string,
  input: string | Buffer,
  plain: string | Buffer,
  color?: string | Buffer | undefined,
][] = [
  ['text, tab and line ends', 'a\tb\r\nc\n', 'a\tb\r\nc\n'],
  ['text of other scripts', 'Grüße 日本語 🎉 “quoted” … ‑', 'Grüße 日本語 🎉 “quoted” … ‑'],
  ['a colour', `a${ESC}[31mred${ESC}[0m`, 'ared', `a${ESC}[31mred${ESC}[0m`],
  [
    'a 24-bit colour',
    `${ESC}[38;2;1;2;3m.${ESC}[48:5:7m.${ESC}[m`,
    '..',
    `${ESC}[38;2;1;2;3m.${ESC}[48:5:7m.${ESC}[m`,
  ],
  ['a colour left on', `${ESC}[31mred`, 'red', `${ESC}[31mred${ESC}[0m`],
  ['a colour with private parameters', `${ESC}[?31mx${ESC}[>4;1mx${ESC}[1 mx`, 'xxx', 'xxx'],
  ['cursor moves and clearing', `a${ESC}[2J${ESC}[1;1H${ESC}[K${ESC}[?1049hb`, 'ab'],
  ['a report request', `${ESC}[6n${ESC}[c${ESC}[>q${ESC}[21tx`, 'x'],
  ['a title ended by BEL', `a${ESC}]0;title\u0007b`, 'ab'],
  ['a link', `${ESC}]8;;https://example.com${ST}text${ESC}]8;;${ST}`, 'text'],
  ['a clipboard write', `a${ESC}]52;c;ZXZpbA==${ST}b`, 'ab'],
  ['a string ended by the C1 terminator', `a${ESC}]0;title\u009cb`, 'ab'],
  ['a quote inside a title, whose last byte is 9C', `a${ESC}]0;“${ST}b`, 'ab'],
  ['DCS, APC, PM, SOS', `a${ESC}Pq#1${ST}b${ESC}_x${ST}c${ESC}^x${ST}d${ESC}Xx${ST}e`, 'abcde'],
  ['BEL does not end a DCS', `a${ESC}Px\u0007y${ST}b`, 'ab'],
  ['a string that ends with the line', `a${ESC}]0;never ended\nb`, 'a\nb'],
  ['a string with a colour inside', `a${ESC}]0;x${ESC}[1mb${ESC}[0m`, 'ab', `a${ESC}[1mb${ESC}[0m`],
  ['a string never ended', `a${ESC}]0;${'x'.repeat(5_000)}`, `a${'x'.repeat(5_000 - (4_096 - 2))}`],
  ['bare escapes', `a${ESC}cb${ESC}7c${ESC}=d${ESC}(Be${ESC}#8f${ESC}%Gg`, 'abcdefg'],
  ['an escape before text of another script', `a${ESC}é`, 'aé'],
  ['an escape of an escape', `a${ESC}${ESC}[31mb${ESC}[0m`, 'ab', `a${ESC}[31mb${ESC}[0m`],
  ['an escape at the end', `a${ESC}`, 'a'],
  ['a sequence at the end', `a${ESC}[31`, 'a'],
  ['a sequence broken by a line end', `a${ESC}[31\nmb`, 'a\nmb'],
  ['a sequence broken by an escape', `a${ESC}[3${ESC}[2Jb`, 'ab'],
  ['a sequence of endless parameters', `a${ESC}[${'1;'.repeat(40)}mb`, `a${'1;'.repeat(8)}mb`],
  ['an escape of endless intermediates', `a${ESC}${' '.repeat(200)}b`, `a${' '.repeat(200 - 65)}b`],
  ['control characters', 'a\u0000b\u0007c\bd\u000be\u000cf\u000eg\u000fh\u007fi', 'abcdefghi'],
  ['C1 controls', 'a\u009b31mb\u0085c\u0080d\u009fe', 'a31mbcde'],
  ['other characters of the same block', '\u00a0\u00a9é', '\u00a0\u00a9é'],
  ['reading order', 'a\u202eb\u202ac\u2066d\u2069e\u202df', 'abcdef'],
  ['neighbours of those', '\u2028\u2029\u202f\u2065\u206a', '\u2028\u2029\u202f\u2065\u206a'],
  ['HTML', '<script>alert(1)</script>&lt;', '<script>alert(1)</script>&lt;'],
  [
    'bytes that are not UTF-8',
    Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x9b, 0xe2, 0x62]),
    Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x9b, 0xe2, 0x62]),
  ],
  ['a C1 control put together by a removal', Buffer.from([0xc2, 0x1b, 0x63, 0x9b, 0x61]), 'a'],
  ['a C1 control inside another', Buffer.from([0xc2, 0xc2, 0x9b, 0x9b, 0x61]), Buffer.from([0xc2, 0x61])],
  ['a direction put together by a removal', Buffer.from([0xe2, 0x80, 0x00, 0xae, 0x61]), 'a'],
  [
    'a direction around a C1 control',
    Buffer.from([0xe2, 0xc2, 0x9b, 0x80, 0xae, 0x61]),
    Buffer.from([0xe2, 0x61]),
  ],
  ['a byte order mark', '\ufeffa\ufeffb', '\ufeffa\ufeffb'],
];

describe.each(CORPUS)('%s', (_name, input, plain, color) => {
  test('is harmless without colours', () => {
    expect(filtered(bytesOf(input), false)).toEqual(bytesOf(plain));
  });

  test('is harmless with colours', () => {
    expect(filtered(bytesOf(input), true)).toEqual(bytesOf(color ?? plain));
  });

  test('gives the same wherever it is cut', () => {
    const bytes = bytesOf(input);
    for (const withColor of [false, true]) {
      const whole = filtered(bytes, withColor);
      const differing = Array.from({ length: bytes.length }, (_, at) => at).filter(
        (at) => !filtered(bytes, withColor, [bytes.subarray(0, at), bytes.subarray(at)]).equals(whole),
      );
      expect(differing).toEqual([]);
      const oneByOne = [...bytes].map((byte) => Buffer.from([byte]));
      expect(filtered(bytes, withColor, oneByOne).equals(whole)).toBe(true);
    }
  });
});

/** Numbers from 0 to 1, the same ones each time. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const COLOR = new RegExp(`${ESC}\\[[0-9:;]*m`, 'g');

/** By the Unicode standard's own properties rather than by bytes. */
function actsOnTerminal(bytes: Buffer): boolean {
  return /(?![\t\n\r])\p{Cc}|\p{Bidi_Control}(?<![\u200e\u200f\u061c])/u.test(bytes.toString('utf8'));
}

test('whatever comes, nothing is left that acts on a terminal, and cutting changes nothing', () => {
  const random = randomFrom(7);
  const alphabet = [
    0x1b, 0x1b, 0x5b, 0x5d, 0x50, 0x6d, 0x33, 0x3b, 0x07, 0x5c, 0x0a, 0x20, 0x41, 0xc2, 0x9b, 0x9c, 0xe2,
    0x80, 0x81, 0xae, 0xa7, 0x00, 0xff,
  ];
  for (let round = 0; round < 5_000; round += 1) {
    const input = Buffer.from(
      Array.from({ length: 24 }, () => alphabet[Math.floor(random() * alphabet.length)] ?? 0),
    );
    const whole = filtered(input, false);
    const colored = filtered(input, true);
    const cut = Math.floor(random() * input.length);
    const chunks = [input.subarray(0, cut), input.subarray(cut, cut + 2), input.subarray(cut + 2)];
    const isRight =
      !actsOnTerminal(whole) &&
      !actsOnTerminal(Buffer.from(colored.toString('latin1').replaceAll(COLOR, '.'), 'latin1')) &&
      filtered(whole, false).equals(whole) &&
      filtered(input, false, chunks).equals(whole) &&
      filtered(input, true, chunks).equals(colored);
    expect(isRight ? '' : input.toString('hex')).toBe('');
  }
});

describe('a name', () => {
  test.each([
    ['build (ubuntu-latest, 20)', 'build (ubuntu-latest, 20)'],
    [`a${ESC}[31mb${ESC}]0;x\u0007c`, 'abc'],
    ['two\nlines\tand\u2028more', 'two lines and more'],
    ['\u202egnp.exe\u200b\u200f\u061c', 'gnp.exe'],
    ['a\ud800b', 'a\ufffdb'],
    ['  ', ''],
  ])('%j is shown as %j', (name, shown) => {
    expect(inertText(name)).toBe(shown);
  });

  test('does not grow a line without end', () => {
    expect(inertText('x'.repeat(1_000_000))).toHaveLength(1_000);
  });
});
