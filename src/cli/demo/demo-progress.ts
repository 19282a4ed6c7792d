import type { ScenarioStep } from '../../simulator/scenario.ts';
import type { DemoAnswer, DemoListener, SeenRecord } from './demo-deliveries.ts';
import { formatBytes, formatDuration } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { paint, type Tone } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Where progress is written to. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly rows?: number;
}

/** One delivery of the list. */
interface StepLine {
  readonly step: ScenarioStep;
  state: 'waiting' | 'sending' | 'answered' | 'ended';
  answer: string;
  /** From the most important on; as many are shown as fit. */
  outcome: readonly string[];
  isGood: boolean;
}

const MARKS = { waiting: ' ', sending: '…', answered: '…' } as const;
/** Lines left for the heading and the prompt when the list is drawn again in place. */
const ROWS_AROUND = 4;
const ANSWER_WIDTH = '401 bad_signature'.length;
const GAP = '  ';

/**
 * The demo's deliveries as they go: on a terminal one list, redrawn in place; where there is none, or it is too low for the
 * list, a line for each answer and each record.
 */
export function openDemoProgress(
  stream: ProgressStream,
  terminal: Terminal,
  steps: readonly ScenarioStep[],
): DemoListener {
  const lines = steps.map((step): StepLine => ({
    step,
    state: 'waiting',
    answer: '',
    outcome: [],
    isGood: true,
  }));
  const inPlace = terminal.isTTY && (stream.rows ?? 0) >= lines.length + ROWS_AROUND;
  let isDrawn = false;
  const titleWidth = lines.reduce((width, { step }) => Math.max(width, step.title.length), 0);
  const tell = (line: StepLine): void => {
    if (!inPlace) {
      if (line.state === 'answered' || line.state === 'ended') stream.write(`${plainLine(line)}\n`);
      return;
    }
    const up = isDrawn ? `\u001b[${lines.length}A` : '';
    isDrawn = true;
    stream.write(up + lines.map((it) => `\u001b[2K${listLine(it, titleWidth, terminal)}\n`).join(''));
  };
  const change = (index: number, changed: Partial<StepLine>): void => {
    const line = lines[index];
    if (line === undefined) return;
    Object.assign(line, changed);
    tell(line);
  };
  return {
    onSending: (index) => change(index, { state: 'sending' }),
    onAnswer(index, answer) {
      const line = lines[index];
      if (line === undefined) return;
      const text = `${answer.status} ${inertText(answer.outcome ?? '')}`.trim();
      // The record can be seen before the answer has come all the way.
      change(index, { answer: text, ...(line.state === 'ended' ? {} : afterAnswer(line.step, answer)) });
    },
    onRecord(index, seen) {
      const isGood = seen.record.outcome === lines[index]?.step.expect;
      change(index, { state: 'ended', outcome: outcomeOf(seen), isGood });
    },
  };
}

/** Some deliveries have done all they can with the answer; the others wait for their record. */
function afterAnswer({ expect }: ScenarioStep, { status, outcome }: DemoAnswer): Partial<StepLine> {
  if (expect === 'duplicate' || expect === 'refused') {
    const isGood = expect === 'duplicate' ? outcome === 'duplicate' : status === 401;
    const meant = expect === 'duplicate' ? 'nothing new' : 'no trace';
    return { state: 'ended', outcome: [isGood ? meant : `not ${expect}`], isGood };
  }
  return status === 202 ? { state: 'answered' } : { state: 'ended', isGood: false };
}

function outcomeOf({ record, tookMs }: SeenRecord): string[] {
  const size = record.log === null ? [] : [formatBytes(record.log.bytes)];
  return [inertText(record.outcome), ...size, `in ${formatDuration(tookMs)}`];
}

function listLine(line: StepLine, titleWidth: number, terminal: Terminal): string {
  const tone: Tone = line.isGood ? 'good' : 'bad';
  const mark = line.state === 'ended' ? (line.isGood ? '✓' : '✗') : MARKS[line.state];
  // A line as wide as the terminal would wrap on some, and be drawn over wrongly.
  const width = Math.max(0, terminal.columns - 1 - `${mark} `.length);
  const text = `${line.step.title.padEnd(titleWidth)}${GAP}${line.answer.padEnd(ANSWER_WIDTH)}${GAP}`.slice(
    0,
    width,
  );
  let left = width - text.length;
  const outcome: string[] = [];
  for (const word of line.outcome) {
    if (word.length > left) break;
    outcome.push(word);
    left -= word.length + 1;
  }
  const shown = line.state === 'waiting' ? paint(text, 'dim', terminal) : text;
  return `${paint(mark, tone, terminal)} ${shown}${paint(outcome.join(' '), tone, terminal)}`.trimEnd();
}

function plainLine(line: StepLine): string {
  const mark = line.state === 'answered' ? '→' : line.isGood ? '✓' : '✗';
  const ending =
    line.state === 'answered'
      ? line.answer
      : [line.answer, line.outcome.join(' ')].filter(Boolean).join(', ');
  return `${mark} ${line.step.title}: ${ending}`;
}
