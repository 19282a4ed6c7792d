/**
 * In which order waiting jobs are taken (DESIGN decision 10): start-time fair queueing. Every job is given a tag: one more than
 * the later of its flow's last tag and the tag now being worked on. The lowest tag goes first. So a flow's jobs keep their
 * order, a flow that begins late starts at the front and not behind another's backlog, and nobody's oldest job starves, as
 * the tag being worked on only rises. A flow is a repository. Urgency comes before fairness: live, then sweep, then backfill.
 */
export const URGENCIES = ['live', 'sweep', 'backfill'] as const;
export type Urgency = (typeof URGENCIES)[number];

/** BullMQ's priorities end at 2^21 - 1; 0 means none. */
const PRIORITY_MAX = 2_097_151;
/** Tags of one urgency. One that runs out, after that many jobs of one flow without a pause, goes on first come, first served. */
export const TAGS_MAX = Math.floor(PRIORITY_MAX / URGENCIES.length);

/** BullMQ's priority of a job: lower goes first. */
export function priorityOf(urgency: Urgency, tag: number): number {
  return URGENCIES.indexOf(urgency) * TAGS_MAX + tag;
}

/** Urgency and tag of a priority; null for a job that was queued without one. */
export function tagOf(priority: number): { urgency: Urgency; tag: number } | null {
  if (priority < 1) return null;
  const urgency = URGENCIES[Math.floor((priority - 1) / TAGS_MAX)];
  return urgency === undefined ? null : { urgency, tag: ((priority - 1) % TAGS_MAX) + 1 };
}

/** The tags of one queue, kept where every process that adds jobs can reach them. */
export interface FairOrder {
  /** The tag for a new job of `flow`, or null when the queue holds a job of this id already. */
  admit(id: string, urgency: Urgency, flow: string): Promise<number | null>;
  /** Notes that work on a job with this tag has begun. */
  started(urgency: Urgency, tag: number): void;
}

/** The tags of a queue that one process owns. */
export class FairTags {
  private readonly working = new Map<Urgency, number>();
  private readonly last = new Map<string, number>();

  next(urgency: Urgency, flow: string): number {
    const key = `${urgency} ${flow}`;
    const tag = Math.min(Math.max(this.working.get(urgency) ?? 0, this.last.get(key) ?? 0) + 1, TAGS_MAX);
    this.last.set(key, tag);
    return tag;
  }

  /** Takes a job into account that stands in the queue already. */
  restore(urgency: Urgency, flow: string, tag: number): void {
    const key = `${urgency} ${flow}`;
    this.last.set(key, Math.max(this.last.get(key) ?? 0, tag));
    this.working.set(urgency, Math.min(this.working.get(urgency) ?? tag - 1, tag - 1));
  }

  started(urgency: Urgency, tag: number): void {
    this.working.set(urgency, Math.max(this.working.get(urgency) ?? 0, tag));
  }

  /** Nothing waits: tags begin anew, so that they do not run out. */
  reset(): void {
    this.working.clear();
    this.last.clear();
  }
}

/**
 * The same in one step on a Redis server, for several jobs. KEYS: the queue's waiting jobs, the tags of every urgency, the jobs.
 * ARGV: TAGS_MAX, then of each job which of the urgencies, and its flow. Answers a tag for each, 0 when the id is taken. `working`
 * cannot be a flow: those hold a slash.
 */
export const ADMIT_LUA = `
local urgencies = ${URGENCIES.length}
if redis.call('ZCARD', KEYS[1]) == 0 then redis.call('DEL', unpack(KEYS, 2, 1 + urgencies)) end
local answer = {}
for job = 1, #KEYS - 1 - urgencies do
  if redis.call('EXISTS', KEYS[1 + urgencies + job]) == 1 then
    answer[job] = 0
  else
    local tags = KEYS[1 + tonumber(ARGV[2 * job])]
    local found = redis.call('HMGET', tags, 'working', ARGV[2 * job + 1])
    answer[job] = math.min(math.max(tonumber(found[1] or '0'), tonumber(found[2] or '0')) + 1, tonumber(ARGV[1]))
    redis.call('HSET', tags, ARGV[2 * job + 1], answer[job])
  end
end
return answer
`;

/** KEYS: the tags of an urgency. ARGV: the tag that work has begun on. */
export const STARTED_LUA = `
local working = tonumber(redis.call('HGET', KEYS[1], 'working') or '0')
if tonumber(ARGV[1]) > working then redis.call('HSET', KEYS[1], 'working', ARGV[1]) end
return 0
`;
