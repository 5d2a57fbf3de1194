/** Whether tests run all cases of their matrices: `MATRIX=all`. */
export const RUNS_WHOLE_MATRIX = process.env.MATRIX === 'all';

/** Every nth of the cases, from the one at `start`. `MATRIX=all` returns all cases. */
export function oneIn<Case>(n: number, cases: readonly Case[], start = 0): readonly Case[] {
  return RUNS_WHOLE_MATRIX ? cases : cases.filter((_, at) => at % n === start);
}

/**
 * A subset of a matrix's cases in which each value of each dimension occurs `times` times, if there are that many.
 * `MATRIX=all` returns all cases.
 *
 * @param cases a row for each case; only its strings count as values
 */
export function sampleOf<Case extends readonly unknown[]>(cases: readonly Case[]): readonly Case[] {
  if (RUNS_WHOLE_MATRIX) {
    return cases;
  }
  const covered = new Set<string>();
  const valuesOf = (row: Case): string[] =>
    row.flatMap((value, dimension) => (typeof value === 'string' ? [`${dimension} ${value}`] : []));
  const lacking = (row: Case): number =>
    valuesOf(row).filter((value) => !covered.has(value)).length;
  const chosen = new Set<Case>();
  for (;;) {
    const left = cases.filter((row) => !chosen.has(row));
    const next = left.reduce<Case | undefined>(
      (best, row) => (lacking(row) > (best === undefined ? 0 : lacking(best)) ? row : best),
      undefined,
    );
    if (next === undefined) {
      return cases.filter((row) => chosen.has(row));
    }
    chosen.add(next);
    valuesOf(next).forEach((value) => covered.add(value));
  }
}
