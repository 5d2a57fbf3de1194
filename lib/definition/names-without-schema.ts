import type { DataSourceContext } from './data-source.context.js';
import { getViewOptions } from './definition-metadata.accessor.js';
import { liveViewName } from './live-view.js';
import type { ViewClass } from './view-class.js';

/** The names of the views of classes whose `schemas` are none at present. */
export function namesWithoutSchema({
  typeOrm,
  views,
  viewsElsewhere,
}: Pick<DataSourceContext, 'typeOrm' | 'views' | 'viewsElsewhere'>): Set<string> {
  const placed = new Set([...views.all(), ...viewsElsewhere()].map(({ target }) => target));
  return new Set(
    typeOrm.entityMetadatas.flatMap(({ target, tableName: name }) => {
      const options = typeof target === 'function' ? getViewOptions(target) : undefined;
      if (options?.schemas === undefined || placed.has(target as ViewClass)) {
        return [];
      }
      const live = liveViewName(name, options);
      return live === undefined ? [name] : [name, live];
    }),
  );
}
