import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { MaterializedViewsCoreModule } from '../nest/materialized-views-core.module.js';
import { MaterializedViewsHealthIndicator } from './materialized-views.health.js';

/** Exports `MaterializedViewsHealthIndicator`. Import it beside `TerminusModule` where health is checked. */
@Module({
  imports: [TerminusModule, MaterializedViewsCoreModule],
  providers: [MaterializedViewsHealthIndicator],
  exports: [MaterializedViewsHealthIndicator],
})
export class MaterializedViewsHealthModule {}
