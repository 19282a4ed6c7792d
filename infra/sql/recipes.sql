-- Ten questions that users ask, for DuckDB, Athena, Trino and ClickHouse alike: they stand on the view `jobs` and the table
-- `commits`, which duckdb.sql, athena.sql, trino.sql and clickhouse.sql make. Change the dates, names and hashes. `dt` is the UTC
-- day of a job's end, and the only thing that decides how much is read: always bound it. docs/query.md says more.

-- 1. jobs of commits: every job for a list of commits, as an auditor samples them
with wanted as (
  select head_sha, dt
  from commits
  where head_sha in (
    '1111111111111111111111111111111111111111',
    '2222222222222222222222222222222222222222'
  )
)
select host, repository, head_sha, workflow_name, run_id, run_attempt, job_name, job_id, conclusion, outcome, log_key, log_sha256
from jobs
where dt in (select dt from wanted)
  and lower(head_sha) in (select head_sha from wanted)
order by head_sha, host, repository, run_id, run_attempt, job_id;

-- 2. failed deploys: deployments of a quarter that failed, and at which step
select dt, host, repository, environment, workflow_name, job_name, conclusion, failed_step, sender, head_sha, job_id
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and environment is not null
  and conclusion in ('failure', 'timed_out')
order by dt, host, repository, job_id;

-- 3. production: who ran what on it; `environment` is of the deployment that GitHub sent with the job
select dt, sender, host, repository, workflow_name, job_name, head_branch, head_sha, conclusion, run_id, run_attempt, job_id
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and environment = 'production'
order by dt, host, job_id;

-- 4. slowest jobs: by name, with how often they ran
select
  host, repository, workflow_name, job_name,
  count(*) as runs,
  cast(round(avg(ran_seconds)) as bigint) as mean_seconds,
  max(ran_seconds) as longest_seconds
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and ran_seconds is not null
  and outcome not in ('carried_over', 'not_a_job')
group by host, repository, workflow_name, job_name
order by mean_seconds desc, host, repository, workflow_name, job_name
limit 50;

-- 5. missing logs: jobs without a log, by reason
select
  outcome, absence_reason,
  count(*) as without_log,
  count(distinct repository) as repositories,
  min(dt) as first_day,
  max(dt) as last_day
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and outcome <> 'archived'
group by outcome, absence_reason
order by without_log desc, outcome, absence_reason;

-- 6. flaky jobs: those that failed and passed at one commit
with by_commit as (
  select
    host, repository, workflow_name, job_name, head_sha,
    count(*) filter (where conclusion in ('failure', 'timed_out')) as failures,
    count(*) filter (where conclusion = 'success') as passes
  from jobs
  where dt between '2026-10-01' and '2026-12-31'
    and head_sha is not null
    and outcome not in ('carried_over', 'not_a_job')
  group by host, repository, workflow_name, job_name, head_sha
)
select
  host, repository, workflow_name, job_name,
  count(*) as flaky_commits,
  cast(sum(failures) as bigint) as failed_times,
  cast(sum(passes) as bigint) as passed_times
from by_commit
where failures > 0 and passes > 0
group by host, repository, workflow_name, job_name
order by flaky_commits desc, failed_times desc, host, repository, workflow_name, job_name;

-- 7. cost: runner minutes by repository, each job rounded up to the minute as GitHub bills it
select
  host, repository, self_hosted,
  count(*) as runs,
  cast(sum(ceil(ran_seconds / 60.0)) as bigint) as minutes
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and ran_seconds is not null
  and outcome not in ('carried_over', 'not_a_job')
group by host, repository, self_hosted
order by minutes desc, host, repository, self_hosted;

-- 8. largest logs: as GitHub served them, and as they are stored
select host, repository, workflow_name, job_name, dt, job_id, log_bytes, stored_bytes, log_lines, log_key
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and log_bytes is not null
order by log_bytes desc, host, job_id
limit 20;

-- 9. failures by workflow and week, which begins on Monday
select
  cast(date_trunc('week', cast(dt as date)) as date) as week,
  host, repository, workflow_name,
  count(*) as runs,
  count(*) filter (where conclusion in ('failure', 'timed_out')) as failures
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and outcome not in ('carried_over', 'not_a_job')
group by cast(date_trunc('week', cast(dt as date)) as date), host, repository, workflow_name
order by week, host, repository, workflow_name;

-- 10. queue time: how long jobs waited for a runner
select
  host, repository, self_hosted,
  count(*) as runs,
  cast(round(avg(waited_seconds)) as bigint) as mean_seconds,
  max(waited_seconds) as longest_seconds,
  count(*) filter (where waited_seconds >= 300) as over_five_minutes
from jobs
where dt between '2026-10-01' and '2026-12-31'
  and waited_seconds is not null
  and outcome not in ('carried_over', 'not_a_job', 'not_produced')
group by host, repository, self_hosted
order by mean_seconds desc, host, repository, self_hosted;
