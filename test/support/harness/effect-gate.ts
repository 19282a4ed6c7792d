import type { FaultSubject, Faults } from '../../../src/simulator/faults.ts';
import type { S3FakeOptions } from '../servers/s3-fake/s3-fake.ts';

/**
 * Counts what a service does at a store and at GitHub on behalf of each of many repositories, and cuts each of them off
 * after an effect of its own choosing: that one takes place, nobody is told, and nothing of that repository gets through
 * any more. A process that is then killed was killed right after that effect, for all of them at once.
 */
export interface EffectGate {
  /** For the store's fake. */
  readonly around: NonNullable<S3FakeOptions['around']>;
  /** Lets the gate decide on the requests to a simulated GitHub as well, except on those routes. */
  watch(faults: Faults, except?: readonly string[]): void;
  /** From now on this repository's effects count. */
  arm(subject: GateSubject, stopAfter: number): void;
  /** What was done for a repository so far, as `PUT v1/…` or `github job_logs`. */
  effects(name: string): readonly string[];
  /** Whether it has been cut off. */
  isStopped(name: string): boolean;
  /** Stops counting and lets everything through. */
  open(): void;
}

/** How the requests of a repository are known: it has a name, an id and an installation of its own. */
export interface GateSubject {
  readonly name: string;
  readonly repositoryId: number;
  readonly installationId: number;
}

interface Armed {
  readonly subject: GateSubject;
  readonly stopAfter: number;
  readonly effects: string[];
  stopped: boolean;
}

export function openEffectGate(): EffectGate {
  const armed = new Map<string, Armed>();
  let isOpen = false;

  function byKey(text: string): Armed | undefined {
    const [, name, id] = /repo=([^/]+)|host=[^/]+\/id=(\d+)/.exec(text) ?? [];
    if (name !== undefined) return armed.get(name);
    return [...armed.values()].find(({ subject }) => String(subject.repositoryId) === id);
  }

  function note(one: Armed, effect: string): void {
    one.effects.push(effect);
    if (one.effects.length >= one.stopAfter) one.stopped = true;
  }

  return {
    async around(request, serve) {
      const place = request.key === '' ? (request.query.get('prefix') ?? '') : request.key;
      const one = isOpen ? undefined : byKey(place);
      if (one === undefined) return serve();
      if (one.stopped) return NEVER;
      const answer = await serve();
      note(one, `${request.method} ${place}`);
      return isStoppedNow(one) ? NEVER : answer;
    },
    watch(faults, except = []) {
      const usual = faults.take.bind(faults);
      faults.take = (about: FaultSubject) => {
        const one = [...armed.values()].find(
          ({ subject }) => subject.installationId === about.installationId,
        );
        if (isOpen || one === undefined || except.includes(about.route)) return usual(about);
        if (!one.stopped) note(one, `github ${about.route}`);
        return one.stopped ? { delayMs: 0, effect: { kind: 'hang' } } : usual(about);
      };
    },
    arm(subject, stopAfter) {
      armed.set(subject.name, { subject, stopAfter, effects: [], stopped: false });
    },
    effects: (name) => armed.get(name)?.effects ?? [],
    isStopped: (name) => !isOpen && (armed.get(name)?.stopped ?? false),
    open() {
      isOpen = true;
    },
  };
}

const NEVER = new Promise<never>(() => undefined);

/** Read anew: another request of the same repository may have been the last meanwhile. */
function isStoppedNow(one: Armed): boolean {
  return one.stopped;
}
