import { isDeepStrictEqual } from 'node:util';
import { UnmanagedDependentsError } from '../errors/schema.errors.js';
import {
  displayName,
  type QualifiedName,
  quoteIdentifier,
  quoteQualifiedName,
} from '../postgres/identifier.js';
import type { ViewFactRow } from '../postgres/view-facts.sql.js';
import { givenStorageNames } from './storage.js';
import { IN_PLACE, type TouchedView, type ViewAfter } from './touched-views.js';

/** What a migration looks for, in both directions. */
export interface MigrationChecks {
  up: ViewCheck[];
  down: ViewCheck[];
}

/** What a migration checks about one view before it changes anything. Facts are statements: see `ViewFactRow`. */
export interface ViewCheck {
  view: QualifiedName;
  /** Facts that must exist; otherwise it stops. */
  required: string[];
  /** These it may find. */
  known: string[];
  /** Facts about these may exist too: `kind subject`. */
  own: string[];
  /**
   * What happens to other facts: they are given to the view with this name, left alone, dropped with the view, or it
   * stops. Dependents of a view that goes always stop it.
   */
  others: QualifiedName | 'stay' | 'go' | 'stop';
  /** The columns that the view gets, as in CREATE TABLE, if they differ from those that it has: other facts must fit them. */
  columns?: string[];
}

/** What `down` must find: otherwise it would grant again what was revoked. */
const STILL: ReadonlySet<string> = new Set(['owner', 'privilege']);

/** @param facts the views' present facts, by position */
export function checksOf(
  touched: readonly TouchedView[],
  facts: readonly ViewFactRow[],
): MigrationChecks {
  const all = (view: TouchedView): ViewFactRow[] =>
    facts.filter(({ position }) => position === touched.indexOf(view));
  const of = (view: TouchedView): ViewFactRow[] =>
    all(view).filter(({ kind }) => kind !== 'dependent');
  const up = touched
    .filter(({ change }) => change !== 'kept')
    .map((view) => ({
      ...upCheck(view, of(view)),
      // Where a new view takes the name of one that is renamed, these stay with that.
      known: all(view)
        .filter(({ kind }) => kind === 'dependent')
        .map((fact) => statementOf(fact, view.before)),
    }));
  const down = touched
    .filter(
      ({ change, isMadeAgain }) => change === 'replaced' || change === 'redefined' || isMadeAgain,
    )
    .map((view) => downCheck(view, of(view)));
  const created = touched
    .filter(({ change }) => change === 'created')
    .map(({ after }) => ({ view: after, required: [], known: [], own: [], others: 'go' as const }));
  return {
    up: knowing(
      up,
      touched.filter(isGoing).map(({ before }) => before),
    ),
    down: knowing(
      [...down, ...created],
      touched.filter(isGoingBack).map(({ after }) => after),
    ),
  };
}

/** Those that are redefined read something else by then. */
function isGoing({ change }: TouchedView): boolean {
  return ['replaced', 'dropped', 'redefined'].includes(change);
}

function isGoingBack({ change, isMadeAgain }: TouchedView): boolean {
  return ['replaced', 'created', 'redefined'].includes(change) || isMadeAgain === true;
}

/** Views that go together may depend on each other. */
function knowing(checks: ViewCheck[], going: QualifiedName[]): ViewCheck[] {
  const dependents = going.map((name) => `dependent ${displayName(name)}`);
  return checks.map((check) => ({ ...check, own: [...check.own, ...dependents] }));
}

/**
 * `down` creates views from what the database has.
 *
 * @throws UnmanagedDependentsError if that must not be parsed: see `foreignLiterals`
 */
export function refuseLiterals(
  touched: readonly TouchedView[],
  facts: readonly ViewFactRow[],
): void {
  const literals = facts.filter(({ kind }) => kind === 'literal');
  const view = touched[literals[0]?.position ?? -1];
  if (view !== undefined) {
    throw new UnmanagedDependentsError(
      `Cannot write a migration that changes "${displayName(view.before)}": it has a ${literals.map(({ head }) => head.trim()).join(', a ')}, and its "down" would run functions of other roles with the rights of whoever runs it.`,
      { view: displayName(view.before), hint: 'Change the view by hand as its owner first.' },
    );
  }
}

function upCheck({ change, before, after, member }: TouchedView, facts: ViewFactRow[]): ViewCheck {
  const isInPlace = change === 'altered' || change === 'redefined';
  const required = isInPlace
    ? facts.filter(
        ({ kind }) => IN_PLACE.has(kind) || (change === 'redefined' && kind === 'definition'),
      )
    : facts;
  return {
    view: before,
    required: required.map((fact) => statementOf(fact, before)),
    known: [],
    own: change === 'replaced' && member !== undefined ? goingWith(member) : [],
    others: isInPlace ? 'stay' : change === 'replaced' && !changesKind(member) ? after : 'stop',
    ...(change === 'replaced' && member !== undefined && otherColumns(member, 'up')),
  };
}

/** If those that a view gets differ from those that it has. */
function otherColumns(
  { columns, columnTypes, deployed }: ViewAfter,
  way: 'up' | 'down',
): Pick<ViewCheck, 'columns'> {
  const now = columns.map((name, at) => `${quoteIdentifier(name)} ${columnTypes[at]}`);
  const was = (deployed?.row.columns ?? []).map(
    ({ name, type }) => `${quoteIdentifier(name)} ${type}`,
  );
  return isDeepStrictEqual(now, was) ? {} : { columns: way === 'up' ? now : was };
}

/** What is given to an index or a column that goes is gone with it. */
function goingWith({ definition, deployed, columns, ownIndexes = [] }: ViewAfter): string[] {
  const declared = new Set(definition?.indexes.map(({ name }) => name));
  return [
    ...ownIndexes
      .filter((name) => !declared.has(name))
      .flatMap((name) => [`index setting ${name}`, `cluster ${name}`]),
    ...(deployed?.row.columns ?? [])
      .filter(({ name }) => !columns.includes(name))
      .map(({ name }) => `column ${name}`),
  ];
}

function downCheck(
  { change, before, after, member, isMadeAgain }: TouchedView,
  facts: ViewFactRow[],
): ViewCheck {
  const carried = facts
    .filter(({ kind }) => kind !== 'definition')
    .map((fact) => ({ ...fact, head: headFor(fact.head, member) }));
  const { definition, finalQuery } = member ?? {};
  const subjectsOf = (wanted: string): Set<string> =>
    new Set(carried.filter(({ kind }) => kind === wanted).map(({ subject }) => subject));
  const indexes = subjectsOf('index');
  const oldColumns = new Set(member?.deployed?.row.columns.map(({ name }) => name));
  return {
    view: after,
    required: [
      `DEFINITION ${quoteQualifiedName(after)}${finalQuery ?? ''}`,
      ...carried.filter(({ kind }) => STILL.has(kind)).map((fact) => statementOf(fact, after)),
    ],
    known: carried.map((fact) => statementOf(fact, after)),
    own: [
      // Their text depends on the columns' types, which may differ in between.
      ...[...indexes].map((name) => `index ${name}`),
      ...[...subjectsOf('statistics')].map((name) => `statistics ${name}`),
      // What exists only after the migration is dropped together with what belongs to it.
      ...(definition?.indexes ?? [])
        .filter(({ name }) => !indexes.has(name))
        .flatMap(({ name }) => [`index ${name}`, `index setting ${name}`, `cluster ${name}`]),
      ...(member?.columns ?? [])
        .filter((name) => !oldColumns.has(name))
        .map((name) => `column ${name}`),
      ...(definition?.comment === undefined ? [] : ['comment ']),
      // A view that changes its kind gets the default parameters, declared or not.
      ...(definition !== undefined && (definition.storage !== undefined || changesKind(member))
        ? givenStorageNames(definition)
        : []
      ).map((name) => `storage ${name}`),
      ...(definition?.tablespace === undefined ? [] : ['tablespace ']),
      ...(definition?.accessMethod === undefined ? [] : ['access method ']),
    ],
    others: change === 'redefined' && !isMadeAgain ? 'stay' : changesKind(member) ? 'stop' : before,
    ...(member !== undefined && otherColumns(member, 'down')),
  };
}

/** Not everything that a view of one kind has can be given to a view of another kind. */
function changesKind(member: ViewAfter | undefined): boolean {
  return member?.deployed !== undefined && member.deployed.kind !== member.kind;
}

/** The facts of a view that has changed its kind. */
function headFor(head: string, member: ViewAfter | undefined): string {
  const was = `${member?.deployed?.kind.keyword ?? ''} `;
  const [, verb = ''] = /^(ALTER |COMMENT ON )/.exec(head) ?? [];
  return member !== undefined && verb !== '' && head.startsWith(was, verb.length)
    ? `${verb}${member.kind.keyword} ${head.slice(verb.length + was.length)}`
    : head;
}

function statementOf({ kind, head, tail }: ViewFactRow, view: QualifiedName): string {
  const subject =
    kind === 'index setting' ? quoteIdentifier(view.schema) : quoteQualifiedName(view);
  return tail === null ? head : `${head}${subject}${tail}`;
}
