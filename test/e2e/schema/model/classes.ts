import { plainViewClass, type TestView, viewClass } from '../../../support/view-class.js';
import type { ReleasedView } from './application.js';

type Declared = Partial<ReleasedView> & TestView;

/** The classes of a release, without the model's own fields. Some classes declare several views. */
export function classesOf(views: ReleasedView[]): (new () => object)[] {
  const joined = (view: ReleasedView, as: 'live' | 'tenant'): ReleasedView | undefined =>
    views.find((each) => each.with?.view === view.view && each.with.as === as);
  return views
    .filter((view) => view.with === undefined)
    .map((view) => {
      const [live, tenant] = [joined(view, 'live'), joined(view, 'tenant')];
      const declared = {
        ...declaredOf(view),
        ...(live && {
          liveView: live.name,
          expression: live.expression,
          ...(live.dependsOn && { dependsOn: live.dependsOn }),
        }),
      };
      return classOf(view.isPlain, tenant ? inSchemas(declared, [view, tenant]) : declared);
    });
}

function declaredOf(view: ReleasedView): Declared {
  const declared: Declared = { ...view };
  delete declared.view;
  delete declared.reads;
  delete declared.isPlain;
  delete declared.with;
  if (view.isPlain) {
    delete declared.indexes;
    delete declared.withData;
  }
  return declared;
}

/** A class with one view per schema. All of them have the same query and read the same table. */
function inSchemas(declared: Declared, views: ReleasedView[]): Omit<Declared, 'expression'> {
  const { expression, ...options } = declared;
  delete options.schema;
  return {
    ...options,
    ...(Array.isArray(options.refresh?.on) && { refresh: { on: ['public.items'] } }),
    schemas: views.map(({ schema }) => schema),
    expression: () => expression,
  } as Omit<Declared, 'expression'>;
}

function classOf(isPlain: boolean, declared: Omit<Declared, 'expression'>): new () => object {
  return isPlain
    ? plainViewClass(declared as Declared)
    : (viewClass(declared as Declared) as new () => object);
}
