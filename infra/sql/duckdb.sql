-- The query index in DuckDB 1.1 and later. Put your bucket and prefix (or the archive's folder) in place of s3://BUCKET/PREFIX;
-- for S3 first: install httpfs; load httpfs; create secret (type s3, provider credential_chain);

-- Every revision of every job, and a row more for each day under which an earlier revision stands.
create or replace view job_revisions as
select *
from read_parquet('s3://BUCKET/PREFIX/index/jobs/dt=*/*.parquet', hive_partitioning = true, hive_types_autocast = false);

-- Which runs a commit had, and on which days.
create or replace view commits as
select *
from read_parquet('s3://BUCKET/PREFIX/index/commits/month=*/*.parquet', hive_partitioning = true, hive_types_autocast = false);

-- Each job once, by its newest revision, under the day of its own end. Files may overlap while parts are merged, and for ever
-- where the store lets nothing be removed. Times are UTC.
create or replace view jobs as
select
  * exclude (newest, own_day),
  list_contains(labels, 'self-hosted') as self_hosted,
  case when completed_at >= started_at then date_diff('second', started_at, completed_at) end as ran_seconds,
  case when started_at >= created_at then date_diff('second', created_at, started_at) end as waited_seconds
from (
  select
    *,
    row_number() over (
      partition by dt, host, job_id
      order by revision desc, case when event is null then 1 else 0 end
    ) as newest
  from (
    select
      * replace (
        make_timestamp_ms(epoch_ms(completed_at)) as completed_at,
        make_timestamp_ms(epoch_ms(started_at)) as started_at,
        make_timestamp_ms(epoch_ms(created_at)) as created_at,
        make_timestamp_ms(epoch_ms(recorded_at)) as recorded_at
      ),
      strftime(make_timestamp_ms(epoch_ms(coalesce(completed_at, started_at, created_at, recorded_at))), '%Y-%m-%d') as own_day
    from job_revisions
  )
)
where newest = 1 and dt = own_day;
