// In:  HTTP requests of operators; who calls is settled by the middleware in front.
// Out: the answers of the routes that are mounted here; an OpenAPI description from the same schemas.
// On failure: 400 names each parameter that is wrong; what is thrown goes to the application's error handler.
import { OpenAPIHono } from "@hono/zod-openapi";
import { problem, type Actor } from "../domain/api.ts";
import config from "../lockstep.config.ts";
import { wrongFields } from "./answers.ts";
import { actionRoutes, type LetterActionsEnv } from "./action-routes.ts";
import { letterRoutes, type LettersEnv } from "./letter-routes.ts";
import { replayRoutes } from "./replay-routes.ts";
import { watchRoutes, type WatchEnv } from "./watch-routes.ts";

export interface DlqHttp {
  Bindings: WatchEnv & LettersEnv & LetterActionsEnv;
  Variables: { actor: Actor };
}

export function dlqRoutes(): OpenAPIHono<DlqHttp> {
  const app = new OpenAPIHono<DlqHttp>({
    defaultHook: (result) =>
      result.success
        ? undefined
        : problem(400, "some parameters are wrong", {
            errors: wrongFields(result.error),
          }),
  });
  watchRoutes(app);
  letterRoutes(app, config);
  actionRoutes(app, config);
  app.route("/", replayRoutes());
  return app;
}
