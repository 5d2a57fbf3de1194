import type { ViewDefinition } from '../definition/view-definition.js';
import type { LookRow } from '../postgres/look.sql.js';

/** The state of a view that has none, is paused or backs off. */
const LEFT_OUT = '-';

/** The versions at one poll of everything that the pending changes of views depend on. Pure. */
export class Versions {
  private readonly states: ReadonlyMap<ViewDefinition, string | undefined>;
  /** Of relations, by OID. */
  private readonly relations: ReadonlyMap<string, string | undefined>;

  /**
   * @param views those that were asked about, in order
   * @param oids the OIDs of the relations that were asked about
   */
  constructor(
    private readonly row: LookRow,
    views: readonly ViewDefinition[],
    private readonly oids: readonly string[],
  ) {
    const states = words(row.states);
    const relations = words(row.versions);
    this.states = new Map(views.map((view, index) => [view, states[index]]));
    this.relations = new Map(
      Array.from({ length: relations.length / 2 }, (_, index) => [
        relations[2 * index] ?? '',
        relations[2 * index + 1],
      ]),
    );
  }

  get snapshot(): string {
    return this.row.snapshot;
  }

  /** `undefined` for a view that has no state, is paused or backs off. */
  stateOf(view: ViewDefinition): string | undefined {
    const state = this.states.get(view);
    return state === LEFT_OUT ? undefined : state;
  }

  /** Otherwise nothing is valid that was known before: something common to all views differs, or the clock went back. */
  areComparableTo({ row }: Versions): boolean {
    return this.row.common === row.common && this.row.now >= row.now;
  }

  /** Whether the functions, types and operators that users created are the same. Both polls must have asked for them. */
  haveSameMade({ row }: Versions): boolean {
    return this.row.made_by_users !== null && this.row.made_by_users === row.made_by_users;
  }

  /** The OIDs of relations whose versions differ or are unknown at one of the polls, and of those with new rows in the log. */
  changedSince(last: Versions): Set<string> {
    const differing = this.oids.filter((oid) => {
      const version = this.relations.get(oid);
      return version === undefined || version !== last.relations.get(oid);
    });
    return new Set([...differing, ...words(this.row.logged)]);
  }
}

function words(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}
