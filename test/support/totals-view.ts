/** A view of the tables that a stress test's writers change. */
export const TOTALS = {
  schema: 'Odd schema',
  name: 'totals "by" key',
  expression: `SELECT k, count(*) AS count, sum(id) AS sum FROM public.orders WHERE public.pace() GROUP BY k`,
};

/** Slows down refreshes by the replicas. */
export const PACE = `
  CREATE FUNCTION public.pace() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
  BEGIN
    IF pg_catalog.current_setting('application_name') LIKE 'replica %' THEN
      PERFORM pg_catalog.pg_advisory_xact_lock_shared(4711);
      PERFORM pg_catalog.pg_sleep(0.01);
    END IF;
    RETURN true;
  END $$`;
