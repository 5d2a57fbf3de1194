/** Known names, those most like the given one first. */
export function byLikeness(given: string, known: readonly string[]): string[] {
  const edits = new Map(known.map((name) => [name, editCount(folded(given), folded(name))]));
  return [...known].sort((one, other) => (edits.get(one) ?? 0) - (edits.get(other) ?? 0));
}

/** The known name that was probably meant; `undefined` if none is near enough. */
export function meantName(given: string, known: readonly string[]): string | undefined {
  const [nearest] = byLikeness(given, known);
  if (nearest === undefined) {
    return undefined;
  }
  const most = Math.max(1, Math.floor((Math.max(given.length, nearest.length) + 1) / 3));
  return editCount(folded(given), folded(nearest)) <= most ? nearest : undefined;
}

/** `sideBySide`, `side_by_side` and `side-by-side` are one name to people. */
function folded(name: string): string {
  // Anything longer isn't a misspelt name, and would only cost time.
  return name.slice(0, 200).toLowerCase().replaceAll(/[-_ ]/g, '');
}

/**
 * How many letters must be inserted, deleted or replaced to turn one text into the other (Levenshtein).
 */
function editCount(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, position) => position);
  for (let i = 1; i <= one.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = at(above, j - 1) + (one[i - 1] === other[j - 1] ? 0 : 1);
      row.push(Math.min(at(above, j) + 1, at(row, j - 1) + 1, replaced));
    }
  }
  return at(row, other.length);
}

function at(row: number[], position: number): number {
  return row[position] ?? 0;
}
