export { routerConfig, type RouterConfig } from './config.ts';
export { createRouterService, type RouterService } from './service.ts';
