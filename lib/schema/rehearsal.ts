import { DepGraph } from 'dependency-graph';
import type { RebuildStrategy } from '../definition/module.options.js';
import { createSchema } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { selectStandIns, type StandInRow, type ViewQuery } from '../postgres/rehearsal.sql.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { renameIndex, renameView } from '../postgres/view-ddl.sql.js';
import { PLAIN } from '../postgres/view-kind.js';
import { cycleError } from './dependency-cycle.js';
import { refuseToDrop } from './dependents.js';
import type { DeployedView } from './deployed-view.js';
import { beside, type OldView, stepAside, type StepAsideOptions } from './old-views.js';
import { createStandIns, definitionsOf, type StandInError } from './stand-ins.js';
import { hide, type HiddenIndex } from './hidden-indexes.js';
import { findLosses, type Losses } from './losses.js';
import { namesIn, type NamePlan } from './name-plan.js';
import { moveViews } from './rename.js';
import { type ClosureMember, queryOf } from './rebuild-closure.js';
import { temporaryName } from './temporary-name.js';

/** A member of a closure with PostgreSQL's findings about it. */
export interface RehearsedMember extends ClosureMember, Losses {
  /** The name under which it is built: a temporary one if an old view has the name. */
  buildName: QualifiedName;
  /** Its definition with the others' build names in it. */
  buildQuery: ViewQuery;
  /** How to recreate the view that it replaces, for undoing. */
  old?: OldView;
  /** Its final definition. */
  finalQuery: string;
  columns: string[];
  /** Their types. */
  columnTypes: string[];
  /** Those that can't have a way of storage or a compression. */
  plainColumns: string[];
  /** Whether it is created with its rows: as declared, and always if readers have rows now. */
  withData: boolean;
  /**
   * Whether it gets its rows only once everything has its final name, because a function that it calls, directly
   * or not, finds a view by name, and that view gets its name last.
   */
  isFilledLast: boolean;
}

export interface Rehearsed {
  /** Views that are dropped without a replacement. */
  going: OldView[];
  /** In order of dependency: each after everything that it reads. */
  members: RehearsedMember[];
  /** Views whose query fails, with the error, and those that read them. */
  failed: StandInError[];
}

export interface RehearsalOptions extends Omit<StepAsideOptions, 'staying'> {
  missingSchemas: string[];
  strategy: RebuildStrategy;
  /** Unpopulated views that are filled first. */
  filled: ReadonlySet<string>;
  /** All unpopulated views. */
  empty: ReadonlySet<string>;
  /** In the way of what moves. */
  hidden: readonly HiddenIndex[];
  /** Views that are dropped, and that no member may read. */
  dropped: QualifiedName[];
  /** Reads the catalog in its future state, except that these plain views stand in for materialized ones. */
  look: (standIns: QualifiedName[]) => Promise<void>;
}

/**
 * Finds out how the members of a closure fit together, without reading a row. Every old view is renamed
 * out of the way, and plain views with the new definitions take their names. So the declared texts
 * resolve to each other, including new columns below. Then the stand-ins get the build names, and
 * PostgreSQL returns the definitions with these names, and who reads whom. All of it is rolled back. The
 * old views are locked for these milliseconds.
 *
 * @throws DependencyCycleError if `dependsOn` and the queries form a circle
 */
export async function rehearse(
  session: Session,
  members: ClosureMember[],
  options: RehearsalOptions,
): Promise<Rehearsed> {
  const { missingSchemas, strategy, going, moves, names, hidden, look } = options;
  if (members.length + going.length + moves.length === 0) {
    await look([]);
    return { members: [], failed: [], going: [] };
  }
  return session.undone(async () => {
    for (const schema of missingSchemas) {
      await session.query(createSchema(schema));
    }
    for (const statement of hide(hidden)) {
      await session.query(statement);
    }
    const isHidden = new Set(hidden.map(({ name }) => displayName(name)));
    for (const { name } of members.filter(
      (member) => names.isIndex(member.name) && !isHidden.has(displayName(member.name)),
    )) {
      await session.query(renameIndex(name, temporaryName('aside', displayName(name))));
    }
    const leaving = members.flatMap(({ deployed, isReplaced }) =>
      deployed === undefined || isReplaced ? [] : [deployed],
    );
    const staying = members.filter(({ isReplaced }) => isReplaced).map(({ name }) => name);
    const old = await stepAside(
      session,
      [...leaving, ...going],
      { ...options, staying },
      members.find(({ deployed }) => deployed),
    );
    const isSideBySide = strategy === 'side-by-side';
    const buildNameOf = (member: ClosureMember): QualifiedName => {
      if (!isSideBySide) {
        return member.name;
      }
      return member.isReplaced ? names.nameBefore(member.name) : besideName(member, names);
    };
    const failed = await createStandIns(session, members);
    const failedMembers = new Set(failed.map((error) => error.member));
    const standing = members.filter((member) => !failedMembers.has(member));
    const finalQueries = await definitionsOf(session, standing);
    await look(standing.filter(({ kind }) => kind.storesRows).map(({ name }) => name));
    for (const member of standing.filter(
      (each) => !each.isReplaced && isBeside(each, buildNameOf(each)),
    )) {
      await session.query(renameView(PLAIN, member.name, buildNameOf(member).name));
    }
    if (isSideBySide && moves.length > 0) {
      // New views are built while these still have their old names.
      const back = moveViews(moves.map(({ kind, from, to }) => ({ kind, from: to, to: from })));
      await session.query(script([...back.leave, ...back.arrive]));
    }
    const named = standing.map((member) => ({ member, buildName: buildNameOf(member) }));
    const isMoved = isSideBySide && moves.length > 0;
    const rehearsed = await describeStandIns(session, named, {
      old,
      ...options,
      isMoved,
      arriving: isSideBySide ? moves.map(({ to }) => to) : [],
      finalQueries,
    });
    return { members: rehearsed, failed, going: going.flatMap((view) => old.get(view) ?? []) };
  });
}

function isReplacing(member: ClosureMember): boolean {
  return member.deployed !== undefined;
}

/** A temporary name, if its final name or the name of one of its indexes is taken. */
function besideName(member: ClosureMember, names: NamePlan): QualifiedName {
  const { name, definition } = member;
  const needed = namesIn({ name, indexes: definition?.indexes ?? [] });
  return isReplacing(member) || needed.some(names.isTaken) ? beside(name) : name;
}

function isBeside(member: ClosureMember, buildName: QualifiedName): boolean {
  return buildName.name !== member.name.name;
}

async function describeStandIns(
  session: Session,
  named: { member: ClosureMember; buildName: QualifiedName }[],
  {
    old,
    filled,
    empty,
    dropped,
    isMoved,
    arriving,
    finalQueries,
  }: Pick<RehearsalOptions, 'filled' | 'empty' | 'dropped'> & {
    old: Map<DeployedView, OldView>;
    /** Whether views that may be read don't have their final names yet. */
    isMoved: boolean;
    /** The new names of views that are not rebuilt. */
    arriving: QualifiedName[];
    finalQueries: Map<ClosureMember, string>;
  },
): Promise<RehearsedMember[]> {
  const lost = new Map<ClosureMember, Losses>();
  for (const { member, buildName } of named) {
    lost.set(member, await findLosses(session, member, buildName));
  }
  const names = named.map(({ buildName }) => buildName);
  const rows = await session.query<StandInRow>(selectStandIns([...names, ...dropped]));
  refuseReaders(
    named.map(({ member }) => member),
    rows,
    dropped,
  );
  const isMember = new Set(named.map(({ member }) => displayName(member.name)));
  const rehearsed = named.map(({ member, buildName }, position): RehearsedMember => {
    const row = rows[position];
    const sources = row?.reads.flatMap((each) => named[each] ?? []) ?? [];
    const readsBuilt = sources.some((source) => isBeside(source.member, source.buildName));
    return {
      ...member,
      buildName,
      buildQuery:
        isAsWritten(member) && !isMoved && !readsBuilt && !isBeside(member, buildName)
          ? queryOf(member)
          : { text: row?.definition ?? '', isDeclared: false },
      finalQuery: finalQueries.get(member) ?? '',
      old: member.deployed && old.get(member.deployed),
      columns: row?.columns ?? [],
      columnTypes: row?.column_types ?? [],
      plainColumns: row?.plain_columns ?? [],
      withData: [
        ...(row?.empty_sources ?? []),
        ...member.dependsOn
          .map(displayName)
          .filter((name) => empty.has(name) && !isMember.has(name)),
      ].every((source) => filled.has(source)),
      isFilledLast: false,
      invalidIndexes: [],
      lostIndexes: [],
      lostStatistics: [],
      ...lost.get(member),
    };
  });
  const reads = rows.slice(0, named.length).map((row) => row.reads);
  const ordered = inOrder(rehearsed, reads);
  const late = new Set(arriving.map(displayName));
  const byName = new Map(rehearsed.map((member) => [displayName(member.name), member]));
  for (const member of ordered) {
    const sources = [
      ...(reads[rehearsed.indexOf(member)]?.flatMap((each) => rehearsed[each] ?? []) ?? []),
      ...member.dependsOn.flatMap((name) => byName.get(displayName(name)) ?? []),
    ];
    member.withData = isFilled(member, sources);
    member.isFilledLast =
      sources.some((source) => source.isFilledLast) ||
      member.dependsOn.some((name) => late.has(displayName(name)));
    if (member.isFilledLast || isBeside(member, member.buildName)) {
      late.add(displayName(member.name));
    }
  }
  return ordered;
}

function refuseReaders(
  members: ClosureMember[],
  rows: StandInRow[],
  dropped: QualifiedName[],
): void {
  dropped.forEach((name, position) => {
    const readers = members.filter((_, reader) =>
      rows[reader]?.reads.includes(members.length + position),
    );
    refuseToDrop(
      [name],
      readers.map(({ kind, name: reader }) => `${kind.noun} ${displayName(reader)}`),
    );
  });
}

/** What can be read now can be read afterwards, unless it now reads an unpopulated view. */
function isFilled(member: RehearsedMember, sources: RehearsedMember[]): boolean {
  const { definition, deployed } = member;
  const canBe = member.withData && sources.every((source) => source.withData);
  const wasFilled = deployed?.kind.storesRows === true && deployed.row.is_populated;
  return member.kind.storesRows ? definition?.withData === true || (wasFilled && canBe) : canBe;
}

/** The text stays as written if nothing follows it: it may end in a comment. */
function isAsWritten({ kind, definition, deployed }: ClosureMember): boolean {
  return kind.storesRows && definition?.withData === true && deployed === undefined;
}

function inOrder(members: RehearsedMember[], reads: number[][]): RehearsedMember[] {
  const graph = new DepGraph<RehearsedMember>();
  members.forEach((member) => graph.addNode(displayName(member.name), member));
  members.forEach((member, position) => {
    const name = displayName(member.name);
    for (const source of reads[position] ?? []) {
      graph.addDependency(name, displayName(members[source]?.name ?? member.name));
    }
    for (const source of member.dependsOn) {
      if (graph.hasNode(displayName(source))) {
        graph.addDependency(name, displayName(source));
      }
    }
  });
  try {
    return graph.overallOrder().map((name) => graph.getNodeData(name));
  } catch (error) {
    throw cycleError((error as { cyclePath?: string[] }).cyclePath ?? []);
  }
}
