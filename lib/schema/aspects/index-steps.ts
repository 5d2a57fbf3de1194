import { type ViewDefinition, viewName } from '../../definition/view-definition.js';
import { createIndex } from '../../postgres/ddl.sql.js';
import type { QualifiedName } from '../../postgres/identifier.js';
import type { SqlStatement } from '../../postgres/sql-statement.js';
import { clusterOn, dropIndex, renameIndex } from '../../postgres/view-ddl.sql.js';
import type { DeployedView } from '../deployed-view.js';
import type { NamePlan } from '../name-plan.js';
import { inPhases, type PlanPhases } from '../plan-phases.js';
import { EXCLUSIVE_LOCK, NO_LOCK, SHARE_LOCK } from '../../postgres/lock-words.js';
import type { PlanStep } from '../plan-step.js';
import type { IndexDifference } from './index.aspect.js';
import { temporaryName } from '../temporary-name.js';
import { indexStatements } from '../index-statements.js';

/** One index of a view that stays. A new index is built beside the existing ones, before any reader has to wait. */
export function indexPhases(
  view: ViewDefinition,
  deployed: DeployedView,
  { difference, names }: { difference: IndexDifference; names: NamePlan },
): PlanPhases {
  return new IndexPlan(view, deployed, names).phases(difference);
}

type Part = Pick<PlanStep, 'statements' | 'undo'>;

class IndexPlan {
  /** The view's name before the new names are given, and after undoing. */
  private readonly before: QualifiedName;

  constructor(
    private readonly view: ViewDefinition,
    private readonly deployed: DeployedView,
    private readonly names: NamePlan,
  ) {
    this.before = names.nameBefore(view.name);
  }

  phases(difference: IndexDifference): PlanPhases {
    switch (difference.kind) {
      case 'index-missing':
        return this.missing(difference);
      case 'index-superfluous':
        return this.superfluous(difference.name);
      case 'index-changed':
        return this.changed(difference);
      case 'index-renamed':
        return this.renamed(difference.from, difference.index.name);
    }
  }

  private missing({ index }: Extract<IndexDifference, { kind: 'index-missing' }>): PlanPhases {
    const reason = `Index "${index.name}" is missing`;
    const create = (name: string): SqlStatement[] => [createIndex(this.before, { ...index, name })];
    if (!this.isTaken(index.name)) {
      const undo = [dropIndex(this.old(index.name))];
      return inPhases({
        build: [this.step(reason, { statements: create(index.name), undo }, SHARE_LOCK)],
      });
    }
    const temporary = this.temporary(index.name);
    const renamed = [renameIndex(this.new(temporary), index.name)];
    return this.inThree(reason, {
      build: { statements: create(temporary), undo: [] },
      clear: { statements: [], undo: [dropIndex(this.new(index.name))] },
      finish: { statements: renamed, undo: [] },
    });
  }

  private superfluous(name: string): PlanPhases {
    const reason = `Index "${name}" is no longer declared`;
    const drop = [dropIndex(this.old(name))];
    if (!this.names.isWanted(this.new(name))) {
      return inPhases({
        clear: [this.step(reason, { statements: drop, undo: this.restore(name, name) })],
      });
    }
    const temporary = this.temporary(name);
    return this.inThree(reason, {
      build: { statements: [], undo: [renameIndex(this.old(temporary), name)] },
      clear: { statements: drop, undo: [] },
      finish: { statements: [], undo: this.restore(name, temporary) },
    });
  }

  private changed({ index }: Extract<IndexDifference, { kind: 'index-changed' }>): PlanPhases {
    const { name } = index;
    const existing = this.existing(name);
    const temporary = this.temporary(name);
    return this.inThree(`Index "${name}" changed`, {
      build: {
        statements: indexStatements(this.before, temporary, { declared: index, existing }),
        undo: [renameIndex(this.old(temporary), name)],
      },
      clear: {
        statements: [dropIndex(this.old(name))],
        undo: [dropIndex(this.new(name))],
      },
      finish: {
        statements: [
          renameIndex(this.new(temporary), name),
          ...(existing?.is_clustered ? [clusterOn(this.view.name, name)] : []),
        ],
        undo: this.restore(name, temporary),
      },
    });
  }

  private renamed(from: string, to: string): PlanPhases {
    const temporary = this.temporary(to);
    return this.inThree(`Index "${to}" was "${from}"`, {
      build: { statements: [], undo: [renameIndex(this.old(temporary), from)] },
      clear: {
        statements: [renameIndex(this.old(from), temporary)],
        undo: [renameIndex(this.new(to), temporary)],
      },
      finish: { statements: [renameIndex(this.new(temporary), to)], undo: [] },
    });
  }

  private inThree(
    reason: string,
    { build, clear, finish }: Record<keyof PlanPhases, Part>,
  ): PlanPhases {
    return inPhases({
      build: [this.step(reason, build, build.statements.length > 0 ? SHARE_LOCK : NO_LOCK)],
      clear: [this.step(reason, clear)],
      finish: [this.step(reason, finish)],
    });
  }

  private step(reason: string, part: Part, lock: string = EXCLUSIVE_LOCK): PlanStep {
    const { name } = this.view;
    const stops = lock === EXCLUSIVE_LOCK ? { stops: [this.before] } : {};
    const view = viewName(this.view);
    return { action: 'index', view, name, reason, ...part, ...stops, lock, rewritesRows: false };
  }

  /** As the view has it, once all has its new name. */
  private restore(name: string, as: string): SqlStatement[] {
    const existing = this.existing(name);
    return [
      ...indexStatements(this.view.name, as, { existing }),
      ...(existing?.is_clustered ? [clusterOn(this.view.name, as)] : []),
    ];
  }

  private existing(name: string): DeployedView['indexes'][number] | undefined {
    return this.deployed.indexes.find((index) => index.name === name);
  }

  /** For the schema that a view comes from, it is unknown which names are free. */
  private isTaken(index: string): boolean {
    const isMoved = this.before.schema !== this.view.name.schema;
    return isMoved || this.names.isTaken(this.new(index));
  }

  private temporary(index: string): string {
    // Another one of the name may be built beside it for a view that comes, or comes back, under this name.
    return temporaryName('index that stays', viewName(this.view), index);
  }

  private old(index: string): QualifiedName {
    return { schema: this.before.schema, name: index };
  }

  private new(index: string): QualifiedName {
    return { schema: this.view.name.schema, name: index };
  }
}
