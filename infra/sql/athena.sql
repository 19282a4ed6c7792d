-- The query index in Athena (engine version 3), without a crawler: partitions are projected, so that a day is found as soon as it
-- is indexed. Put your bucket and prefix in place of BUCKET/PREFIX, and run the statements one by one.

create database if not exists everlog;

-- Every revision of every job, and a row more for each day under which an earlier revision stands.
create external table everlog.job_revisions (
  repository string,
  conclusion string,
  outcome string,
  completed_at timestamp,
  started_at timestamp,
  run_id bigint,
  job_id bigint,
  log_bytes bigint,
  run_attempt int,
  revision int,
  workflow_name string,
  job_name string,
  head_branch string,
  head_sha string,
  failed_step string,
  host string,
  owner string,
  repo string,
  repository_id bigint,
  sender string,
  event string,
  pr_numbers array<int>,
  environment string,
  runner_name string,
  labels array<string>,
  absence_reason string,
  created_at timestamp,
  recorded_at timestamp,
  log_lines bigint,
  stored_bytes bigint,
  log_key string,
  log_sha256 string
)
partitioned by (dt string)
stored as parquet
location 's3://BUCKET/PREFIX/index/jobs/'
tblproperties (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2018-01-01,NOW+1DAYS',
  'projection.dt.interval' = '1',
  'projection.dt.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://BUCKET/PREFIX/index/jobs/dt=${dt}/'
);

-- Which runs a commit had, and on which days.
create external table everlog.commits (
  head_sha string,
  host string,
  owner string,
  repo string,
  run_id bigint,
  run_attempt int,
  dt string,
  jobs int
)
partitioned by (month string)
stored as parquet
location 's3://BUCKET/PREFIX/index/commits/'
tblproperties (
  'projection.enabled' = 'true',
  'projection.month.type' = 'date',
  'projection.month.format' = 'yyyy-MM',
  'projection.month.range' = '2018-01,NOW+1MONTHS',
  'projection.month.interval' = '1',
  'projection.month.interval.unit' = 'MONTHS',
  'storage.location.template' = 's3://BUCKET/PREFIX/index/commits/month=${month}/'
);

-- Each job once, by its newest revision, under the day of its own end. Files may overlap while parts are merged, and for ever
-- where the store lets nothing be removed. Times are UTC.
create or replace view everlog.jobs as
select
  *,
  contains(labels, 'self-hosted') as self_hosted,
  case when completed_at >= started_at then date_diff('second', started_at, completed_at) end as ran_seconds,
  case when started_at >= created_at then date_diff('second', created_at, started_at) end as waited_seconds
from (
  select
    *,
    row_number() over (
      partition by dt, host, job_id
      order by revision desc, case when event is null then 1 else 0 end
    ) as newest
  from everlog.job_revisions
)
where newest = 1
  and dt = date_format(coalesce(completed_at, started_at, created_at, recorded_at), '%Y-%m-%d');
