import { expect } from '@jest/globals';
import { ADVISORY_LOCKS, type TestDatabase } from '../../../support/test-database.js';
import { indexSql, type ReleasedView } from './application.js';
import { fullName, type Name, quoted } from './names.js';
import { type AttachedFound, type RelationFound, type Snapshot, validOf } from './snapshot.js';

/** The previous name of each view of a release that existed before. */
export type Predecessors = ReadonlyMap<number, Name>;

const isByHand = (name: string): boolean => name.startsWith('hand');

const bodyOf = (index: string): string =>
  `${index.startsWith('CREATE UNIQUE') ? 'UNIQUE ' : ''}${index.slice(index.indexOf(' USING '))}`;

/** An index or statistics object without the name of its relation. */
const detached = (attached: AttachedFound): AttachedFound => ({
  ...attached,
  definition: attached.definition.includes(' USING ')
    ? bodyOf(attached.definition)
    : statisticsOf(attached.definition),
});

/** PostgreSQL prints the columns of statistics in the order that they have in the view, so this sorts them. */
function statisticsOf(definition: string): string {
  const [head, columns = ''] = definition
    .slice(0, definition.lastIndexOf(' FROM '))
    .split(' ON ') as [string, string?];
  return `${head} ON ${columns.split(', ').sort().join(', ')}`;
}

/** Compares a release with the database after its boot. */
export class Invariants {
  /** How many views had their rows compared. */
  comparisonCount = 0;

  constructor(private readonly database: TestDatabase) {}

  /** Checks each view against its class, as PostgreSQL itself prints the declaration. */
  async declared(views: ReleasedView[], before: Snapshot, now: Snapshot, old: Predecessors) {
    for (const view of views) {
      const found = now.get(fullName(view));
      const name = old.get(view.view);
      const previous = name && before.get(fullName(name));
      if (found === undefined) {
        throw new Error(`${fullName(view)} is not there`);
      }
      const wanted = await this.expected(view);
      const own = Object.entries(found.indexes).filter(([index]) => !isByHand(index));
      expect({
        view: fullName(view),
        kind: found.kind,
        definition: found.definition,
        indexes: Object.fromEntries(own.map(([index, each]) => [index, bodyOf(each.definition)])),
        options: found.options,
        comment: found.comment ?? '',
        populated: found.populated,
      }).toEqual({
        view: fullName(view),
        kind: view.isPlain ? 'v' : 'm',
        ...wanted,
        options: optionsOf(view, previous),
        comment: view.comment ?? previous?.comment ?? '',
        populated:
          view.isPlain || view.withData || staysPopulated(view, views, { found, previous, now }),
      });
    }
  }

  /** Checks that nothing added to a view by hand is lost. */
  kept(views: ReleasedView[], before: Snapshot, now: Snapshot, old: Predecessors): void {
    for (const view of views) {
      const name = old.get(view.view);
      const previous = name && before.get(fullName(name));
      const found = now.get(fullName(view));
      if (previous !== undefined && 'mv'.includes(previous.kind) && found !== undefined) {
        expect({ view: fullName(view), ...byHand(found, previous) }).toEqual({
          view: fullName(view),
          ...byHand(previous, found),
        });
      }
    }
  }

  /** Checks that everything undeclared is unchanged: tables, dependents of the views, and views without a class. */
  othersKept(
    others: string[],
    before: Snapshot,
    now: Snapshot,
    options: { isRenamed: boolean },
  ): void {
    const comparable = (found: RelationFound | undefined): unknown => ({
      ...found,
      oid: 0,
      // A rename changes the text of the view's readers, and the type names of whole-row columns.
      definition: options.isRenamed ? '' : found?.definition,
      columns: options.isRenamed ? {} : found?.columns,
    });
    for (const name of others) {
      expect({ name, found: comparable(now.get(name)) }).toEqual({
        name,
        found: comparable(before.get(name)),
      });
    }
  }

  /** Checks that a view has the rows of its query, unless it or a view that it reads is not populated. */
  async rows(
    views: ReleasedView[],
    found: [start: Snapshot, before: Snapshot, now: Snapshot],
    old: Predecessors,
  ): Promise<void> {
    const [, , now] = found;
    const hasRows = (view: ReleasedView): boolean =>
      now.get(fullName(view))?.populated === true &&
      view.reads.every((each) => views.some((other) => other.view === each && hasRows(other)));
    this.noteStale(views, found, old);
    const isFresh = (view: ReleasedView): boolean =>
      this.stale.get(fullName(view)) !== now.get(fullName(view))?.oid;
    for (const view of views.filter((each) => hasRows(each) && isFresh(each))) {
      this.comparisonCount++;
      const differences = await this.database.query(
        `(SELECT * FROM ${quoted(view)} EXCEPT ALL (${view.expression}))
         UNION ALL ((${view.expression}) EXCEPT ALL SELECT * FROM ${quoted(view)})`,
      );
      expect({ view: fullName(view), differences }).toEqual({
        view: fullName(view),
        differences: [],
      });
    }
  }

  /** OIDs of views that keep their old rows until the next refresh, because what they read was replaced meanwhile. */
  private readonly stale = new Map<string, number>();

  /** A view that a release did not declare has not followed what its function reads. */
  noteReturned(views: ReleasedView[], last: ReleasedView[], now: Snapshot): void {
    for (const view of views.filter(({ dependsOn }) => dependsOn !== undefined)) {
      const found = now.get(fullName(view));
      if (found !== undefined && last.every((each) => each.view !== view.view)) {
        this.stale.set(fullName(view), found.oid);
      }
    }
  }

  private noteStale(
    views: ReleasedView[],
    [start, before, now]: [start: Snapshot, before: Snapshot, now: Snapshot],
    old: Predecessors,
  ): void {
    const historyOf = (view: ReleasedView): (RelationFound | undefined)[] => {
      const name = fullName(old.get(view.view) ?? view);
      return [start.get(name), before.get(name), now.get(fullName(view))];
    };
    const isChanged = (view: ReleasedView, from: number): boolean =>
      view.isPlain &&
      (historyOf(view)[from]?.definition !== historyOf(view)[from + 1]?.definition ||
        view.reads.some((read) =>
          views.some((each) => each.view === read && isChanged(each, from)),
        ));
    for (const view of views.filter(({ isPlain }) => !isPlain)) {
      const oids = historyOf(view).map((each) => each?.oid);
      const isBelow = (from: number): boolean =>
        view.reads.some((read) =>
          views.some((each) => each.view === read && isChanged(each, from)),
        );
      const wasStale = this.stale.get(fullName(old.get(view.view) ?? view)) === oids[2];
      if (
        wasStale ||
        (oids[1] === oids[2] && isBelow(1)) ||
        (oids[0] === oids[1] && oids[1] === oids[2] && isBelow(0))
      ) {
        this.stale.set(fullName(view), oids[2] ?? 0);
      }
    }
  }

  /** Checks that no temporary name, no lock and no transaction is left. */
  async nothingLeftOver(): Promise<void> {
    expect(
      await this.database.query(
        `SELECT relname AS name FROM pg_class WHERE starts_with(relname, 'mv_build_')
         UNION ALL SELECT stxname FROM pg_statistic_ext WHERE starts_with(stxname, 'mv_build_')
         UNION ALL SELECT locktype FROM ${ADVISORY_LOCKS}
         UNION ALL SELECT query FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
           AND backend_type = 'client backend'`,
      ),
    ).toEqual([]);
  }

  /** The definition and the indexes of a declared view as PostgreSQL prints them. */
  private async expected(
    view: ReleasedView,
  ): Promise<{ definition: string; indexes: Record<string, string> }> {
    await this.database.query('BEGIN');
    try {
      await this.database.query(`CREATE TEMP VIEW wanted AS ${view.expression}`);
      await this.database.query(`CREATE TEMP TABLE shape AS SELECT * FROM wanted WITH NO DATA`);
      for (const index of view.indexes) {
        await this.database.query(indexSql(index, 'pg_temp.shape'));
      }
      const [definition] = await this.database.query<{ text: string }>(
        `SELECT pg_get_viewdef('pg_temp.wanted'::regclass) AS text`,
      );
      const indexes = await this.database.query<{ name: string; text: string }>(
        `SELECT relname AS name, pg_get_indexdef(indexrelid) AS text
         FROM pg_index JOIN pg_class c ON c.oid = indexrelid
         WHERE indrelid = 'pg_temp.shape'::regclass`,
      );
      return {
        definition: definition?.text ?? '',
        indexes: Object.fromEntries(indexes.map(({ name, text }) => [name, bodyOf(text)])),
      };
    } finally {
      await this.database.query('ROLLBACK');
    }
  }
}

/** The expected storage parameters. Those of a previous view of another kind do not count. */
function optionsOf(view: ReleasedView, previous: RelationFound | undefined): string[] {
  const { isPlain, storage } = view;
  const was = previous?.kind === (isPlain ? 'v' : 'm') ? previous.options : undefined;
  if (isPlain) {
    const declared: Record<string, string | boolean | undefined> = {
      security_barrier: view.securityBarrier,
      security_invoker: view.securityInvoker,
      check_option: view.checkOption,
    };
    return [
      ...(was ?? []).filter((each) => declared[each.split('=', 1)[0] ?? ''] === undefined),
      ...Object.entries(declared).flatMap(([name, value]) =>
        value === undefined || value === false ? [] : [`${name}=${String(value)}`],
      ),
    ].sort();
  }
  if (storage === undefined && was !== undefined) {
    return was;
  }
  return Object.entries({ vacuum_truncate: false, ...storage })
    .map(([name, value]) => `${name}=${String(value)}`)
    .sort();
}

/** Whether a view declared without data stays populated: if it has rows and, after a rebuild, can be filled again. */
function staysPopulated(
  view: ReleasedView,
  views: ReleasedView[],
  {
    found,
    previous,
    now,
  }: { found: RelationFound; previous: RelationFound | undefined; now: Snapshot },
): boolean {
  const isFilled = (read: number): boolean =>
    views.some(
      (each) =>
        each.view === read &&
        now.get(fullName(each))?.populated &&
        (!each.isPlain || each.reads.every(isFilled)),
    );
  return (
    previous?.kind === 'm' &&
    previous.populated &&
    (found.oid === previous.oid || view.reads.every(isFilled))
  );
}

/** What was put on a relation by hand, as far as it also applies to the columns of the relation that replaces it. */
function byHand(relation: RelationFound, other: RelationFound): Record<string, unknown> {
  const bears = ({ uses }: AttachedFound): boolean =>
    uses.every((column) => column in other.columns);
  const attached = (all: Record<string, AttachedFound>): Record<string, AttachedFound> =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([name, each]) => isByHand(name) && bears(each))
        .map(([name, each]) => [name, detached(each)]),
    );
  const isOtherKind = relation.kind !== other.kind;
  const columns = Object.entries(relation.columns)
    .filter(([name]) => name in other.columns)
    .map(
      ([name, { acl, comment, statistics, options, default: value, ...each }]): [
        string,
        unknown,
      ] => {
        // A column of another type has other storage settings.
        const hasType = each.type === other.columns[name]?.type;
        const stored = hasType && { storage: each.storage, compression: each.compression };
        return [
          name,
          { acl, comment, ...(!isOtherKind && { statistics, options, value, ...stored }) },
        ];
      },
    );
  const { owner, acl, typeComment, identity, tablespace, method, triggers, rules } = relation;
  const { extensions, labels, typeAcl, ruleComment } = relation;
  if (isOtherKind) {
    // Attributes of stored rows do not carry over to a view of another kind.
    const carried = { owner, acl, typeComment, typeAcl, ruleComment, labels, triggers, rules };
    return { ...carried, columns: Object.fromEntries(columns) };
  }
  return {
    extensions,
    labels,
    // A view without wide columns has no TOAST table.
    toast: other.toast === null ? null : relation.toast,
    owner,
    acl,
    typeComment,
    typeAcl,
    ruleComment,
    identity,
    tablespace,
    method,
    triggers,
    rules,
    columns: Object.fromEntries(columns),
    indexes: attached(validOf(relation.indexes)),
    statistics: attached(relation.statistics),
  };
}
