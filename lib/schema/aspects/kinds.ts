import type { Right } from './aspect.js';

/** A difference found by an aspect. */
export type DifferenceOf<Each> = Each extends { right(difference: infer Difference): Right }
  ? Difference
  : never;

/** The aspects by the kinds of their differences. */
export function byKind<Each extends { readonly kinds: readonly string[] }>(
  aspects: readonly Each[],
): ReadonlyMap<string, Each> {
  return new Map(aspects.flatMap((aspect) => aspect.kinds.map((kind) => [kind, aspect] as const)));
}
