/** The view of every fault test. Each row has the transaction that stored it, and the revision that it includes. */
export const LEDGER = {
  schema: `Fault's "books"`,
  name: 'balance; "now"',
  expression: `SELECT account,
       sum(delta)::int AS balance,
       (SELECT max(revision) FROM public.entries) AS revision,
       (SELECT public.witness()) AS xid
FROM public.entries
WHERE (SELECT public.gate())
GROUP BY account`,
};
