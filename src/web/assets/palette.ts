/** The 256 colours of terminals, each moved towards black or white until it can be read on this page. */

type Rgb = readonly [number, number, number];

export interface Theme {
  /** What text stands on: the page, and rows of errors. */
  readonly grounds: readonly string[];
  /** What text is, where the log gives it a ground of its own. */
  readonly text: string;
  /** Colours 0 to 15. */
  readonly system: readonly string[];
}

const CUBE = [0, 95, 135, 175, 215, 255];
/** WCAG 2.1, level AA, for text of this size. */
const CONTRAST_MIN = 4.5;
const STEPS = 20;

/** One rule for each colour as text (`f0`…) and as ground (`g0`…). */
export function paletteRules(theme: Theme): string {
  const grounds = theme.grounds.map(rgbOf);
  const text = rgbOf(theme.text);
  let rules = '';
  for (let number = 0; number < 256; number += 1) {
    const color = number < 16 ? rgbOf(theme.system[number] ?? '#000000') : extended(number);
    const fore = readable(color, grounds);
    const back = readable(color, [text]);
    rules += `.f${number}{color:${hex(fore)}}.g${number}{background:${hex(back)}}`;
  }
  return rules;
}

function extended(number: number): Rgb {
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return [grey, grey, grey];
  }
  const cube = number - 16;
  const part = (divisor: number): number => CUBE[Math.floor(cube / divisor) % 6] ?? 0;
  return [part(36), part(6), part(1)];
}

/** The colour itself, or the nearest on its way away from the others that stands out from all of them. */
function readable(color: Rgb, others: readonly Rgb[]): Rgb {
  const isOnLight = others.every((other) => luminance(other) > 0.2);
  const end: Rgb = isOnLight ? [0, 0, 0] : [255, 255, 255];
  for (let step = 0; step <= STEPS; step += 1) {
    const mixed = mix(color, end, step / STEPS);
    if (others.every((other) => contrast(mixed, other) >= CONTRAST_MIN)) return mixed;
  }
  return end;
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const part = (index: 0 | 1 | 2): number => Math.round(from[index] + (to[index] - from[index]) * share);
  return [part(0), part(1), part(2)];
}

/** WCAG 2.1, "contrast ratio". */
function contrast(one: Rgb, other: Rgb): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}

function luminance([red, green, blue]: Rgb): number {
  const linear = (value: number): number => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function rgbOf(text: string): Rgb {
  const part = (at: number): number => Number.parseInt(text.slice(at, at + 2), 16);
  return [part(1), part(3), part(5)];
}

function hex(color: Rgb): string {
  return `#${color.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
