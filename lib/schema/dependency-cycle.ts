import { DepGraph } from 'dependency-graph';
import { DependencyCycleError } from '../errors/schema.errors.js';
import { displayName, rowName } from '../postgres/identifier.js';
import {
  createCandidate,
  createDummy,
  selectCandidateSources,
  type SourceRow,
  type ViewQuery,
} from '../postgres/rehearsal.sql.js';
import type { Session } from '../postgres/session.js';
import { type ClosureMember, queryOf } from './rebuild-closure.js';

/**
 * Looks for a circle among views that each lack another one. Dummies with their columns take their
 * names; then each query works, and PostgreSQL says what it reads.
 *
 * @throws DependencyCycleError naming the circle
 */
export async function findCycle(session: Session, members: ClosureMember[]): Promise<void> {
  const graph = new DepGraph();
  members.forEach(({ name }) => graph.addNode(displayName(name)));
  await session.undone(async () => {
    for (const { name, definition } of members) {
      await session
        .attempt(() =>
          session.query(createDummy(name, definition?.columns.map((column) => column.name) ?? [])),
        )
        .catch(() => undefined);
    }
    for (const member of members) {
      for (const source of await sourcesOf(session, queryOf(member))) {
        if (graph.hasNode(source)) {
          graph.addDependency(displayName(member.name), source);
        }
      }
    }
  });
  try {
    graph.overallOrder();
  } catch (error) {
    throw cycleError((error as { cyclePath?: string[] }).cyclePath ?? []);
  }
}

/** None for a query that fails on the dummies too: then its own error is reported. */
async function sourcesOf(session: Session, query: ViewQuery): Promise<string[]> {
  try {
    return await session.undone(async () => {
      await session.query(createCandidate(query));
      const rows = await session.query<SourceRow>(selectCandidateSources());
      return rows.map(rowName);
    });
  } catch {
    return [];
  }
}

/** The error for views that read each other in a circle, naming the circle. */
export function cycleError(path: string[]): DependencyCycleError {
  return new DependencyCycleError(
    `Materialized views read each other in a circle: ${path.map((name) => `"${name}"`).join(' -> ')}. Nothing has been changed.`,
    { view: path[0], hint: 'Remove one of these dependencies from a query or from `dependsOn`.' },
  );
}
