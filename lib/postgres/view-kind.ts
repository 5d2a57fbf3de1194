import { HEAP_PARAMETERS, VIEW_PARAMETERS } from './storage-parameters.sql.js';

/** What a managed relation is, as far as that decides how it is made, compared and dropped. */
export interface ViewKind {
  /** pg_class.relkind. */
  readonly relkind: 'm' | 'v';
  /** How statements call it. */
  readonly keyword: 'MATERIALIZED VIEW' | 'VIEW';
  /** How messages call it. */
  readonly noun: 'materialized view' | 'view';
  /** Whether it has rows of its own, which a refresh computes, and with them indexes, statistics and storage. */
  readonly storesRows: boolean;
  /** The parameters that it takes in WITH. */
  readonly parameters: readonly string[];
}

export const MATERIALIZED: ViewKind = {
  relkind: 'm',
  keyword: 'MATERIALIZED VIEW',
  noun: 'materialized view',
  storesRows: true,
  parameters: HEAP_PARAMETERS,
};

export const PLAIN: ViewKind = {
  relkind: 'v',
  keyword: 'VIEW',
  noun: 'view',
  storesRows: false,
  parameters: VIEW_PARAMETERS,
};

const KINDS: readonly ViewKind[] = [MATERIALIZED, PLAIN];

/** The kind of a relation by its pg_class.relkind; `undefined` where it is no view. */
export function viewKindOf(relkind: string | null | undefined): ViewKind | undefined {
  return KINDS.find((kind) => kind.relkind === relkind);
}

/** One kind as against the other. */
export function describeKind(kind: ViewKind): string {
  return kind.storesRows ? kind.noun : `plain ${kind.noun}`;
}

/** A noun at the beginning of a sentence. */
export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** An SQL condition: a relation is a view, of whatever kind. */
export function isView(relkind: string): string {
  return `${relkind} IN (${KINDS.map((kind) => `'${kind.relkind}'`).join(', ')})`;
}
