import fc from 'fast-check';

/*
 * Random sequences of statements on partitions and on tables that inherit from each other. PostgreSQL refuses many of them,
 * because the tables are not related as the statement requires.
 */

const ODD = `"Odd ""table'"`;
/** These and the partitioned tables exist from the start. The steps create those of `MADE`. */
const PLAIN = ['a', 'b', 'c', ODD];
const PARTITIONED = ['p', 'q'];
const MADE = ['made_1', 'made_2'];
export const TABLES = [...PLAIN, ...PARTITIONED, ...MADE];

/** The columns of every table, so that each can become a parent, a child or a partition of another. */
const COLUMNS = '(x int, k int)';

export const CREATE_TABLES = [
  ...PLAIN.map((table) => `CREATE TABLE ${table} ${COLUMNS}`),
  ...PLAIN.map((table, position) => `INSERT INTO ${table} VALUES (${position}, 1)`),
  `CREATE TABLE p ${COLUMNS} PARTITION BY LIST (k)`,
  `CREATE TABLE q ${COLUMNS} PARTITION BY LIST (k)`,
  `CREATE VIEW between AS SELECT x, k FROM c`,
].join(';\n');

/** What a view can read: a table, a table without its children, or a plain view of a table. */
const READABLE = [...PLAIN, ...PARTITIONED, `ONLY a`, 'between'];

/** @returns the query of a view that reads all of these */
export function reading(sources: readonly string[]): string {
  const read = sources.map((source) =>
    source.startsWith('ONLY ') ? `ONLY public.${source.slice(5)}` : `public.${source}`,
  );
  const rows = read.map((source) => `SELECT x, k FROM ${source}`).join(' UNION ALL ');
  return `SELECT count(*)::int AS id, coalesce(sum(x), 0)::int AS x, coalesce(sum(k), 0)::int AS k FROM (${rows}) AS r`;
}

const aTable = fc.constantFrom(...TABLES);

/** Tables that can inherit from each other. Partitioned tables can only be attached. */
const twoPlain = fc.tuple(...[1, 2].map(() => fc.constantFrom(...PLAIN, ...MADE)));
const aPartitioned = fc.constantFrom(...PARTITIONED);

const inheritance: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: twoPlain.map(([child, parent]) => `ALTER TABLE ${child} INHERIT ${parent}`),
  },
  {
    weight: 1,
    arbitrary: twoPlain.map(([child, parent]) => `ALTER TABLE ${child} NO INHERIT ${parent}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...MADE),
        fc.subarray([...PLAIN, ...MADE], { minLength: 1, maxLength: 2 }),
      )
      .map(([child, parents]) => `CREATE TABLE ${child} () INHERITS (${parents.join(', ')})`),
  },
);

const partitioning: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...MADE), aPartitioned, fc.constantFrom('', ' PARTITION BY LIST (k)'))
    .map(
      ([child, parent, kind]) =>
        `CREATE TABLE ${child} PARTITION OF ${parent} FOR VALUES IN (1, 2)${kind}`,
    ),
  fc
    .tuple(
      aTable,
      aPartitioned,
      fc.constantFrom('FOR VALUES IN (1)', 'FOR VALUES IN (2)', 'DEFAULT'),
    )
    .map(([child, parent, bound]) => `ALTER TABLE ${parent} ATTACH PARTITION ${child} ${bound}`),
  fc
    .tuple(aTable, aPartitioned, fc.constantFrom('', ' CONCURRENTLY'))
    .map(([child, parent, how]) => `ALTER TABLE ${parent} DETACH PARTITION ${child}${how}`),
);

const structure: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: inheritance },
  { weight: 3, arbitrary: partitioning },
  { weight: 1, arbitrary: fc.constantFrom(...MADE).map((table) => `DROP TABLE ${table}`) },
);

const write: fc.Arbitrary<string> = fc
  .tuple(
    aTable,
    fc.constantFrom(
      (table: string) => `INSERT INTO ${table} VALUES (7, 1)`,
      (table: string) => `UPDATE ${table} SET x = x + 1`,
      (table: string) => `UPDATE ONLY ${table} SET x = x + 1`,
      (table: string) => `UPDATE ${table} SET k = 3 - k`,
      (table: string) => `DELETE FROM ${table} WHERE x % 2 = 0`,
      (table: string) => `TRUNCATE ${table}`,
    ),
  )
  .map(([table, statement]) => statement(table));

export type Step =
  | { do: 'statement'; sql: string }
  /** All in one transaction. A refused statement does nothing. */
  | { do: 'together'; statements: string[] }
  /** What a running replica does from time to time. */
  | { do: 'refresh' | 'repair' | 'look' };

const statement = fc.oneof({ weight: 3, arbitrary: structure }, { weight: 4, arbitrary: write });

export interface History {
  /** The sources of each of the two views. */
  reads: [string[], string[]];
  steps: Step[];
}

export const anyHistory: fc.Arbitrary<History> = fc.record({
  reads: fc.tuple(
    fc.subarray(READABLE, { minLength: 1, maxLength: 2 }),
    fc.subarray(READABLE, { minLength: 1, maxLength: 3 }),
  ),
  steps: fc.array(
    fc.oneof(
      {
        weight: 12,
        arbitrary: statement.map((sql): Step => ({ do: 'statement', sql })),
      },
      {
        weight: 2,
        arbitrary: fc
          .array(statement, { minLength: 2, maxLength: 5 })
          .map((statements): Step => ({ do: 'together', statements })),
      },
      { weight: 3, arbitrary: fc.constant<Step>({ do: 'refresh' }) },
      { weight: 2, arbitrary: fc.constant<Step>({ do: 'repair' }) },
      { weight: 1, arbitrary: fc.constant<Step>({ do: 'look' }) },
    ),
    { minLength: 5, maxLength: 30 },
  ),
});

/** SQLSTATEs of refused statements, which change nothing. */
export const REFUSALS = [
  '42P01', // no such table
  '42P07', // exists already
  '42P16', // would inherit twice
  '42P17', // overlaps another partition
  '42704', // no such constraint
  '42809', // wrong kind of relation
  '42830',
  '23514', // no partition for the row
  '2BP01', // others depend on it
  '0A000', // not with a default partition, or not in a transaction
  '25001', // not in a transaction
  '42601',
  '55000', // a DETACH that did not finish
];
