import type { ViewDefinition } from '../definition/view-definition.js';
import { UnmanagedDependentsError } from '../errors/schema.errors.js';
import type { ForeignLiteral } from '../postgres/foreign-literal.sql.js';
import { displayName } from '../postgres/identifier.js';
import {
  COLUMN_PARAMETERS,
  INDEX_PARAMETERS,
  TOAST_PARAMETERS,
} from '../postgres/storage-parameters.sql.js';
import {
  COMPRESSION_NAMES,
  REPLICA_IDENTITIES,
  splitParameter,
  STORAGE_NAMES,
} from '../postgres/view-ddl.sql.js';
import type { DeployedView } from './deployed-view.js';
import { ungrantable } from './privilege-statements.js';

/**
 * What a view has and its replacement would lose, each with its kind: something that a newer PostgreSQL added, or
 * that can't be recreated.
 */
export function uncarried(
  { row, kind, indexes, statistics }: DeployedView,
  definition?: ViewDefinition,
  { ownIndexes = [], isOwn = false }: Pick<Remade, 'ownIndexes' | 'isOwn'> = {},
): string[] {
  const becomes = definition?.kind ?? kind;
  const defaults = row.columns
    .filter((column) => column.default !== null && becomes.storesRows)
    .map((column) => `default of column "${column.name}"`);
  if (kind.storesRows && !becomes.storesRows) {
    // Storage settings are dropped with the rows.
    return [
      ...row.unmakeable,
      ...ungrantable(row),
      ...indexes
        .filter(({ name, is_valid }) => is_valid && !ownIndexes.includes(name))
        .map(({ name }) => `index "${name}"`),
      ...statistics.map(({ name }) => `statistics "${name}"`),
      ...row.extensions.map((name) => `a dependency on extension "${name}"`),
    ];
  }
  return [
    ...row.unmakeable,
    ...defaults,
    ...unknownCode('replica identity', row.replica_identity, REPLICA_IDENTITIES),
    ...ungrantable(row),
    // Parameters that a class declared are dropped with what they are for: how a plain view's query runs for a
    // reader.
    ...unknown(row.storage, [
      ...(isOwn ? kind.parameters : []),
      ...becomes.parameters,
      ...Object.keys(definition?.storage ?? {}),
    ]).map((name) => `storage parameter "${name}"`),
    ...unknown(row.toast_storage, TOAST_PARAMETERS).map(
      (name) => `storage parameter "toast.${name}"`,
    ),
    ...row.columns.flatMap((column) =>
      [
        ...unknown(column.options, COLUMN_PARAMETERS).map((name) => `parameter "${name}"`),
        ...unknownCode('storage', column.storage, STORAGE_NAMES),
        ...unknownCode('compression', column.compression, COMPRESSION_NAMES),
      ].map((each) => `${each} of column "${column.name}"`),
    ),
    ...indexes.flatMap((index) => {
      const declared = definition?.indexes.find(({ name }) => name === index.name);
      const known = INDEX_PARAMETERS[index.method];
      return declared !== undefined || known === undefined
        ? []
        : unknown(index.storage, known).map(
            (name) => `storage parameter "${name}" of index "${index.name}"`,
          );
    }),
  ];
}

function unknown(parameters: string[] | null, known: readonly string[]): string[] {
  return (parameters ?? [])
    .map((parameter) => splitParameter(parameter)[0])
    .filter((name) => !known.includes(name));
}

function unknownCode(
  kind: string,
  code: string | null,
  known: Readonly<Record<string, string>>,
): string[] {
  return code === null || Object.hasOwn(known, code) ? [] : [`${kind} "${code}"`];
}

/**
 * The parts of another owner's view that can't be parsed without running someone's code with this role's rights.
 *
 * @param definition the text that the view is created from, if not the database's own
 */
export function foreignLiterals({ row }: DeployedView, definition?: ViewDefinition): string[] {
  const declared = new Set(definition?.indexes.map(({ name }) => name));
  const isRead = ({ part, name }: ForeignLiteral): boolean =>
    definition === undefined || part === 'statistics' || (part === 'index' && !declared.has(name));
  return (row.foreign_literals ?? [])
    .filter(isRead)
    .map(
      ({ part, name, type }) =>
        `a literal of type ${type} in ${part === 'definition' ? 'its definition' : `${part} "${name}"`}`,
    );
}

interface Remade {
  deployed?: DeployedView;
  definition?: ViewDefinition;
  ownIndexes?: readonly string[];
  /** Whether the library created it as it is: otherwise someone else added what it has. */
  isOwn?: boolean;
}

/** @throws UnmanagedDependentsError if a view has something that would be lost or must not be parsed */
export function refuseLosses(views: readonly Remade[]): void {
  for (const { deployed, definition, ...own } of views) {
    if (deployed !== undefined) {
      refuse(deployed, uncarried(deployed, definition, own), {
        reason: 'which the new view would not have',
        hint: 'Take that away, or change the view by hand.',
      });
      refuse(deployed, foreignLiterals(deployed, definition), FOREIGN);
    }
  }
}

const FOREIGN = {
  reason: 'and reading that would run functions of other roles with the rights of this role',
  hint: 'Have its owner write an ARRAY or a ROW with a cast in the place of the literal, or drop what has it.',
};

function refuse(
  { name }: DeployedView,
  things: string[],
  { reason, hint }: { reason: string; hint: string },
): void {
  if (things.length > 0) {
    const view = displayName(name);
    throw new UnmanagedDependentsError(
      `Cannot rebuild "${view}": it has ${things.join(', ')}, ${reason}. Nothing has been changed.`,
      { view, hint },
    );
  }
}
