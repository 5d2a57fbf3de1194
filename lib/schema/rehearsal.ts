import { DepGraph } from 'dependency-graph';
import type { ChangeStrategy } from '../definition/module.options.js';
import { createSchema } from '../postgres/ddl.sql.js';
import { displayName, displayNames, type QualifiedName } from '../postgres/identifier.js';
import {
  createStandIn,
  selectStandIns,
  type StandInRow,
  type ViewQuery,
} from '../postgres/rehearsal.sql.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { errorCode, isRefusal, SqlState } from '../postgres/sqlstate.js';
import { renameView } from '../postgres/view-ddl.sql.js';
import { cycleError } from './dependency-cycle.js';
import { refuseToDrop } from './dependents.js';
import { findLosses, type Losses } from './losses.js';
import { type ClosureMember, queryOf } from './rebuild-closure.js';
import { makingOf, SchemaStepError } from './schema-error.js';
import { temporaryName } from './temporary-name.js';

/** A member of a closure with what PostgreSQL said of it. */
export interface RehearsedMember extends ClosureMember, Losses {
  /** The name under which it is built: a temporary one where an old view has the name. */
  buildName: QualifiedName;
  /** Its definition with the others' build names in it. */
  buildQuery: ViewQuery;
  /** The same of the view that it replaces, for the way back. */
  oldBuildQuery?: string;
  columns: string[];
  /** Whether it is made with its rows: as declared, and in any case where readers have them now. */
  withData: boolean;
}

export interface Rehearsed {
  /** In order of dependency: each after all that it reads. */
  members: RehearsedMember[];
  /** Views whose query fails, with the error, and those that read them. */
  failed: StandInError[];
}

export interface RehearsalOptions {
  missingSchemas: string[];
  strategy: ChangeStrategy;
  /** Views without data that get theirs before. */
  filled: ReadonlySet<string>;
  /** Views that go, and that none of the members may read. */
  dropped: QualifiedName[];
  /** Looks at the catalog while it is as it will be, but for these plain views in the place of materialized ones. */
  look: (standIns: QualifiedName[]) => Promise<void>;
}

const NOT_THERE: ReadonlySet<string | undefined> = new Set([
  SqlState.undefinedTable,
  SqlState.invalidSchemaName,
  SqlState.undefinedColumn,
]);

/**
 * Finds out how the members of a closure fit together, without reading a row. Every old view steps aside,
 * plain views of the new definitions take their names, and so the declared texts bind to each other, to
 * columns that are new below included. Then the stand-ins are given the build names, and PostgreSQL tells
 * the definitions with those in them, and who reads whom. All of it is undone; the old views
 * are locked for these milliseconds.
 *
 * @throws DependencyCycleError when `dependsOn` and the queries make a circle
 */
export async function rehearse(
  session: Session,
  members: ClosureMember[],
  { missingSchemas, strategy, filled, dropped, look }: RehearsalOptions,
): Promise<Rehearsed> {
  if (members.length === 0) {
    await look([]);
    return { members: [], failed: [] };
  }
  return session.undone(async () => {
    for (const schema of missingSchemas) {
      await session.query(createSchema(schema));
    }
    const oldQueries = await stepAside(session, members);
    const buildNameOf = strategy === 'side-by-side' ? besideName : finalName;
    const failed = await createStandIns(session, members);
    const failedMembers = new Set(failed.map((error) => error.member));
    const standing = members.filter((member) => !failedMembers.has(member));
    await look(standing.filter(({ kind }) => kind === 'm').map(({ name }) => name));
    for (const member of standing.filter((each) => isBeside(each, buildNameOf(each)))) {
      await session.query(renameView('v', member.name, buildNameOf(member).name));
    }
    const named = standing.map((member) => ({ member, buildName: buildNameOf(member) }));
    const rehearsed = await describeStandIns(session, named, { oldQueries, filled, dropped });
    return { members: rehearsed, failed };
  });
}

function isReplacing(member: ClosureMember): boolean {
  return member.deployed !== undefined;
}

/** A name beside the one in the end, where that is taken. */
function besideName(member: ClosureMember): QualifiedName {
  return isReplacing(member)
    ? { schema: member.name.schema, name: temporaryName('view', displayName(member.name)) }
    : member.name;
}

function finalName(member: ClosureMember): QualifiedName {
  return member.name;
}

function isBeside(member: ClosureMember, buildName: QualifiedName): boolean {
  return buildName.name !== member.name.name;
}

/** Gives the old views the build names, reads their definitions so, and moves them on, out of the way. */
async function stepAside(
  session: Session,
  members: ClosureMember[],
): Promise<Map<ClosureMember, string>> {
  const aside = members.flatMap((member) =>
    member.deployed === undefined
      ? []
      : [{ member, deployed: member.deployed, at: besideName(member) }],
  );
  if (aside.length === 0) {
    return new Map();
  }
  const stepsAside = aside.map(({ deployed, at }) =>
    renameView(deployed.kind, deployed.name, at.name),
  );
  try {
    await session.query(script(stepsAside));
  } catch (cause) {
    const names = displayNames(aside.map(({ member }) => member.name));
    throw new SchemaStepError(cause, {
      task: `try out the new definition of ${names}`,
      view: aside[0]?.member.definition,
    });
  }
  const rows = await session.undone(async () => {
    return session.query<StandInRow>(selectStandIns(aside.map(({ at }) => at)));
  });
  for (const { member, deployed, at } of aside) {
    const name = temporaryName('aside', displayName(member.name));
    await session.query(renameView(deployed.kind, at, name));
  }
  return new Map(aside.map(({ member }, position) => [member, rows[position]?.definition ?? '']));
}

/** A failed stand-in, and the member that it was for. */
export class StandInError extends SchemaStepError {
  constructor(
    readonly member: ClosureMember,
    cause: unknown,
  ) {
    super(
      cause,
      member.definition
        ? makingOf(member.definition)
        : { task: `make view "${displayName(member.name)}" on the new definitions below it` },
    );
  }

  /** Whether it lacks something that may be there another time. */
  get isForWantOfSomething(): boolean {
    return NOT_THERE.has(errorCode(this.cause));
  }
}

/** In whatever order they stand: one that lacks another is tried again after the others. */
async function createStandIns(session: Session, members: ClosureMember[]): Promise<StandInError[]> {
  for (let remaining = members; ;) {
    const failed: StandInError[] = [];
    for (const member of remaining) {
      try {
        await session.attempt(() => session.query(createStandIn(member.name, queryOf(member))));
      } catch (cause) {
        failed.push(standInError(member, cause));
      }
    }
    if (failed.length === 0 || failed.length === remaining.length) {
      return failed;
    }
    remaining = failed.map((error) => error.member);
  }
}

function standInError(member: ClosureMember, cause: unknown): StandInError {
  const error = new StandInError(member, cause);
  if (!isRefusal(cause)) {
    throw error;
  }
  return error;
}

async function describeStandIns(
  session: Session,
  named: { member: ClosureMember; buildName: QualifiedName }[],
  {
    oldQueries,
    filled,
    dropped,
  }: Pick<RehearsalOptions, 'filled' | 'dropped'> & {
    oldQueries: Map<ClosureMember, string>;
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
  const rehearsed = named.map(({ member, buildName }, position): RehearsedMember => {
    const row = rows[position];
    const sources = row?.reads.flatMap((each) => named[each] ?? []) ?? [];
    const readsBuilt = sources.some((source) => isBeside(source.member, source.buildName));
    return {
      ...member,
      buildName,
      buildQuery:
        isAsWritten(member) && !readsBuilt && !isBeside(member, buildName)
          ? queryOf(member)
          : { text: row?.definition ?? '', isDeclared: false },
      oldBuildQuery: oldQueries.get(member),
      columns: row?.columns ?? [],
      withData: row?.empty_sources.every((source) => filled.has(source)) ?? true,
      lostIndexes: [],
      lostStatistics: [],
      ...lost.get(member),
    };
  });
  const reads = rows.slice(0, named.length).map((row) => row.reads);
  const ordered = inOrder(rehearsed, reads);
  for (const member of ordered) {
    const sources =
      reads[rehearsed.indexOf(member)]?.flatMap((each) => rehearsed[each] ?? []) ?? [];
    member.withData = isFilled(member, sources);
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
      readers.map(
        ({ kind, name: reader }) =>
          `${kind === 'm' ? 'materialized view' : 'view'} ${displayName(reader)}`,
      ),
    );
  });
}

/** What can be read now can be read afterwards, unless it now reads what has no data. */
function isFilled(member: RehearsedMember, sources: RehearsedMember[]): boolean {
  const { definition, deployed } = member;
  const canBe = member.withData && sources.every((source) => source.withData);
  const wasFilled = deployed?.kind === 'm' && deployed.row.is_populated;
  return definition?.withData === true || member.kind === 'v' || (wasFilled && canBe);
}

/** The text can stay as it was written where nothing has to follow it: it may end in a comment. */
function isAsWritten({ kind, definition }: ClosureMember): boolean {
  return kind === 'm' && definition?.withData === true;
}

function inOrder(members: RehearsedMember[], reads: number[][]): RehearsedMember[] {
  const graph = new DepGraph<RehearsedMember>();
  members.forEach((member) => graph.addNode(displayName(member.name), member));
  members.forEach((member, position) => {
    const name = displayName(member.name);
    for (const source of reads[position] ?? []) {
      graph.addDependency(name, displayName(members[source]?.name ?? member.name));
    }
    for (const source of member.definition?.dependsOn ?? []) {
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
