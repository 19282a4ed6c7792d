/** What a handler may know of and do to the queued job that it works on. */
export interface JobContext<Data> {
  /** The queue's id of the job: the same for every try. */
  readonly id: string;
  /** How often a worker has begun this job, this time included. */
  readonly attempts: number;
  /** Replaces the job's data, for its next try. */
  update(data: Data): Promise<void>;
}
