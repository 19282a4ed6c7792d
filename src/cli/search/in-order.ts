/** Text of one job that waits for its turn at most; a job that finds more waits itself. */
const WAITING_CHARACTERS_MAX = 1024 * 1024;

/**
 * Works on items side by side and prints what each gives in the order of the items. Text of an item whose turn has not come waits
 * in memory, at most a mebibyte of each. Stops taking items when `print` returns false.
 * @throws the first failure of the work, when what is in flight has ended.
 */
export async function printInOrder<T>(
  items: readonly T[],
  inFlightMax: number,
  work: (item: T, print: (text: string) => Promise<void>) => Promise<void>,
  print: (text: string) => Promise<boolean>,
): Promise<void> {
  const ended: Promise<void>[] = [];
  const inFlight = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let isWanted = true;
  let previous: Promise<void> = Promise.resolve();
  for (const item of items) {
    if (!isWanted || failures.length > 0) break;
    const turn = previous;
    const one = printInTurn(item, turn, work, async (text) => {
      isWanted &&= await print(text);
    });
    const settled: Promise<void> = one
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => inFlight.delete(settled));
    previous = settled;
    ended.push(settled);
    inFlight.add(settled);
    if (inFlight.size >= inFlightMax) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  if (failures.length > 0) throw failures[0];
}

async function printInTurn<T>(
  item: T,
  turn: Promise<void>,
  work: (item: T, print: (text: string) => Promise<void>) => Promise<void>,
  print: (text: string) => Promise<void>,
): Promise<void> {
  let isTurn = false;
  const come = (async (): Promise<void> => {
    await turn;
    isTurn = true;
  })();
  let waiting = '';
  const flush = async (): Promise<void> => {
    const text = waiting;
    waiting = '';
    if (text !== '') await print(text);
  };
  await work(item, async (text) => {
    waiting += text;
    if (!isTurn && waiting.length > WAITING_CHARACTERS_MAX) await come;
    if (isTurn) await flush();
  });
  await come;
  await flush();
}
