import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import {
  createShape,
  selectShape,
  setShapeOwner,
  type ShapeRow,
} from '../postgres/rehearsal.sql.js';
import type { Statements } from '../postgres/statements.js';
import type { DeployedView } from './deployed-view.js';
import { SchemaStepError } from './schema-error.js';

/** An empty table with the columns of a view, on which indexes and statistics can be tried. */
export interface Shape {
  oid: string;
  table: QualifiedName;
}

/**
 * The shape of a deployed view, for trying declared indexes. If an index has an expression, the shape belongs to the view's
 * owner, because PostgreSQL evaluates constant parts as the table's owner. A role that may not give it to that owner can
 * compare all other indexes.
 */
export async function makeShapeFor(
  session: Statements,
  { name, row }: DeployedView,
  indexes: readonly IndexDefinition[],
): Promise<Shape> {
  const computes = indexes.some(
    ({ keys, where }) =>
      where !== undefined || keys.some(({ expression }) => expression !== undefined),
  );
  return makeShape(session, name, computes ? row.owner : undefined);
}

/** @param owner `undefined` for the current role */
export async function makeShape(
  session: Statements,
  view: QualifiedName,
  owner: string | undefined,
): Promise<Shape> {
  await session.query(createShape(view));
  const [row] = await session.query<ShapeRow>(selectShape());
  if (row === undefined) {
    throw new Error('there is no temporary table');
  }
  if (owner !== undefined) {
    await give(session, view, owner);
  }
  return { oid: row.oid, table: { schema: row.schema_name, name: row.view_name } };
}

async function give(session: Statements, view: QualifiedName, owner: string): Promise<void> {
  try {
    await session.query(setShapeOwner(owner));
  } catch (cause) {
    const task = `try the indexes of "${displayName(view)}" with the rights of its owner "${owner}"`;
    throw new SchemaStepError(cause, { task });
  }
}
