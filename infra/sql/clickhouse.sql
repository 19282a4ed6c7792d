-- The query index in ClickHouse 24.8 and later. Put your bucket's address in place of https://BUCKET.s3.REGION.amazonaws.com/PREFIX,
-- with credentials as the `s3` function takes them; of an archive in a folder, `file` in place of `s3`.

-- Every revision of every job, and a row more for each day under which an earlier revision stands.
create or replace view job_revisions as
select *
from s3('https://BUCKET.s3.REGION.amazonaws.com/PREFIX/index/jobs/dt=*/*.parquet', 'Parquet')
settings use_hive_partitioning = 1;

-- Which runs a commit had, and on which days.
create or replace view commits as
select * replace (toDate(dt) as dt)
from s3('https://BUCKET.s3.REGION.amazonaws.com/PREFIX/index/commits/month=*/*.parquet', 'Parquet')
settings use_hive_partitioning = 1;

-- Each job once, by its newest revision, under the day of its own end. Files may overlap while parts are merged, and for ever
-- where the store lets nothing be removed. Times are UTC.
create or replace view jobs as
select
  * except (newest),
  has(labels, 'self-hosted') as self_hosted,
  case when completed_at >= started_at then date_diff('second', started_at, completed_at) end as ran_seconds,
  case when started_at >= created_at then date_diff('second', created_at, started_at) end as waited_seconds
from (
  select
    *,
    row_number() over (
      partition by dt, host, job_id
      order by revision desc, case when event is null then 1 else 0 end
    ) as newest
  from job_revisions
)
where newest = 1
  and dt = toDate(coalesce(completed_at, started_at, created_at, recorded_at), 'UTC');
