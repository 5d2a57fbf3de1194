import { indexSql, type ReleasedView } from './application.js';
import { quoted } from './names.js';
import type { Rollout, Step } from './steps.js';

/** Describes a step for the report of a counterexample. */
export function describeRelease(views: ReleasedView[], step: Step): string {
  const options = [
    step.prune && 'prune',
    step.dropsFirst && 'drop-and-create',
    step.rebuildsOthers && 'unmanagedDependents: rebuild',
  ].filter(Boolean);
  return [
    ...step.handWork.map(({ work, view }) => `  by hand: ${work} (view ${view})`),
    `  release by ${describeRollout(step.rollout)}${options.length > 0 ? ` with ${options.join(', ')}` : ''}:`,
    ...views.map(describeView),
    ...(step.thenOld > 0 ? [`  then one boots again that is ${step.thenOld} older`] : []),
    ...(step.thenRestored ? ['  then it is dumped and restored'] : []),
  ].join('\n');
}

function describeRollout(rollout: Rollout): string {
  const { by, ...details } = rollout;
  return Object.keys(details).length > 0 ? `${by} ${JSON.stringify(details)}` : by;
}

function describeView(view: ReleasedView): string {
  const { expression, withData, indexes, storage, comment, renamedFrom, refresh, version } = view;
  const { isPlain, securityBarrier, securityInvoker, checkOption } = view;
  const lines = [
    `${isPlain ? 'plain ' : ''}${quoted(view)} AS ${expression}${withData ? '' : ' WITH NO DATA'}`,
    renamedFrom && `renamedFrom ${renamedFrom}`,
    version !== undefined && `version ${version}`,
    view.with && `declared with ${view.with.view}, ${view.with.as}`,
    view.dependsOn && `dependsOn ${view.dependsOn.map(String).join()}`,
    securityBarrier !== undefined && `securityBarrier ${securityBarrier}`,
    securityInvoker !== undefined && `securityInvoker ${securityInvoker}`,
    checkOption !== undefined && `checkOption ${checkOption}`,
    storage && `storage ${JSON.stringify(storage)}`,
    comment !== undefined && `comment ${JSON.stringify(comment)}`,
    refresh && `refresh ${JSON.stringify(refresh)}`,
    ...indexes.map((index) => indexSql(index, '')),
  ].filter(Boolean);
  return `    ${view.view} ${lines.join('\n        ')}`;
}
