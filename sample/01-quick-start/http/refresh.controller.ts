import { Controller, HttpCode, Param, Post } from '@nestjs/common';
import { type RefreshResult, RefreshService } from 'nestjs-materialized-views';
import { SCHEMA } from '../tables/schema.constants.js';

/** Open to everyone in this sample: put a guard before it in an application of yours. */
@Controller('refresh')
export class RefreshController {
  constructor(private readonly refreshes: RefreshService) {}

  /** Answers when the view has the rows of now, whoever refreshed it; callers at the same time share one refresh. */
  @Post(':view')
  @HttpCode(200)
  async refresh(@Param('view') view: string): Promise<RefreshResult> {
    return this.refreshes.refresh(`${SCHEMA}.${view}`);
  }
}
