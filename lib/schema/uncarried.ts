import type { ViewDefinition } from '../definition/view-definition.js';
import { UnmanagedDependentsError } from '../errors/schema.errors.js';
import { displayName } from '../postgres/identifier.js';
import {
  COLUMN_PARAMETERS,
  INDEX_PARAMETERS,
  RELATION_PARAMETERS,
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
 * What a view has and one in its place would not have, each with its kind: made by a PostgreSQL that has more than is
 * known here, or of a kind that cannot be made again.
 */
export function uncarried(
  { row, kind, indexes }: DeployedView,
  definition?: ViewDefinition,
): string[] {
  // What is declared becomes a materialized view, whatever it was.
  const becomes = definition === undefined ? kind : 'm';
  return [
    ...row.unmakeable,
    ...unknownCode('replica identity', row.replica_identity, REPLICA_IDENTITIES),
    ...ungrantable(row),
    ...unknown(row.storage, [
      ...RELATION_PARAMETERS[becomes],
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
        ...(column.default !== null && becomes === 'm' ? ['default'] : []),
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

/** @throws UnmanagedDependentsError where a view has something that would be lost */
export function refuseLosses(
  views: readonly { deployed?: DeployedView; definition?: ViewDefinition }[],
): void {
  for (const { deployed, definition } of views) {
    const lost = deployed === undefined ? [] : uncarried(deployed, definition);
    if (deployed !== undefined && lost.length > 0) {
      const view = displayName(deployed.name);
      throw new UnmanagedDependentsError(
        `Cannot rebuild "${view}": it has ${lost.join(', ')}, which the new view would not have. Nothing has been changed.`,
        { view, hint: 'Take that away, or change the view by hand.' },
      );
    }
  }
}
