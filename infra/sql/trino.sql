-- The query index in Trino, with a Hive catalog called `hive` whose metastore may be a file. Put your bucket and prefix in place
-- of BUCKET/PREFIX. The catalog needs hive.partition-projection-enabled=true and hive.parquet.time-zone=UTC.

create schema if not exists hive.everlog;
use hive.everlog;

-- Every revision of every job, and a row more for each day under which an earlier revision stands.
create table hive.everlog.job_revisions (
  repository varchar,
  conclusion varchar,
  outcome varchar,
  completed_at timestamp(3),
  started_at timestamp(3),
  run_id bigint,
  job_id bigint,
  log_bytes bigint,
  run_attempt integer,
  revision integer,
  workflow_name varchar,
  job_name varchar,
  head_branch varchar,
  head_sha varchar,
  failed_step varchar,
  host varchar,
  owner varchar,
  repo varchar,
  repository_id bigint,
  sender varchar,
  event varchar,
  pr_numbers array(integer),
  environment varchar,
  runner_name varchar,
  labels array(varchar),
  absence_reason varchar,
  created_at timestamp(3),
  recorded_at timestamp(3),
  log_lines bigint,
  stored_bytes bigint,
  log_key varchar,
  log_sha256 varchar,
  dt varchar with (
    partition_projection_type = 'DATE',
    partition_projection_format = 'yyyy-MM-dd',
    partition_projection_range = array['2018-01-01', 'NOW+1DAYS'],
    partition_projection_interval = 1,
    partition_projection_interval_unit = 'DAYS'
  )
)
with (
  format = 'PARQUET',
  external_location = 's3://BUCKET/PREFIX/index/jobs/',
  partitioned_by = array['dt'],
  partition_projection_enabled = true,
  partition_projection_location_template = 's3://BUCKET/PREFIX/index/jobs/dt=${dt}/'
);

-- Which runs a commit had, and on which days.
create table hive.everlog.commits (
  head_sha varchar,
  host varchar,
  owner varchar,
  repo varchar,
  run_id bigint,
  run_attempt integer,
  dt varchar,
  jobs integer,
  month varchar with (
    partition_projection_type = 'DATE',
    partition_projection_format = 'yyyy-MM',
    partition_projection_range = array['2018-01', 'NOW']
  )
)
with (
  format = 'PARQUET',
  external_location = 's3://BUCKET/PREFIX/index/commits/',
  partitioned_by = array['month'],
  partition_projection_enabled = true,
  partition_projection_location_template = 's3://BUCKET/PREFIX/index/commits/month=${month}/'
);

-- Each job once, by its newest revision, under the day of its own end. Files may overlap while parts are merged, and for ever
-- where the store lets nothing be removed. Times are UTC.
create or replace view hive.everlog.jobs as
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
  from hive.everlog.job_revisions
)
where newest = 1
  and dt = date_format(coalesce(completed_at, started_at, created_at, recorded_at), '%Y-%m-%d');
