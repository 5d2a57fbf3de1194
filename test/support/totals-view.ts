/** A view of the tables that the writers of a stress test write. */
export const TOTALS = {
  schema: 'Odd schema',
  name: 'totals "by" key',
  expression: 'SELECT k, count(*) AS count, sum(id) AS sum FROM public.orders GROUP BY k',
};
