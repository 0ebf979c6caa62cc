// Bundles the page: node build.mjs OUT.js; its styles lie beside it as OUT.css.
import path from "node:path";
import * as esbuild from "esbuild";

const modules = path.resolve("node_modules");
const repairs = {
  name: "repairs",
  setup(build) {
    // scenes imports these without the ending that its package has
    build.onResolve({ filter: /^@grafana\/schema\/dist\/esm\/raw\// }, ({ path: asked }) => ({
      path: `${path.join(modules, asked)}.js`,
    }));
    // scenes wants version 6 of the router under the name that runtime has version 5 under
    build.onResolve({ filter: /^react-router-dom$/ }, ({ importer, kind, resolveDir }) =>
      /@grafana.scenes/.test(importer)
        ? build.resolve("react-router-dom-v5-compat", { resolveDir, kind })
        : undefined,
    );
  },
};

await esbuild.build({
  entryPoints: ["src/page.tsx"],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: "iife",
  platform: "browser",
  jsx: "automatic",
  // the sources are read from a folder that holds a link to the libraries
  preserveSymlinks: true,
  mainFields: ["browser", "module", "main"],
  conditions: ["browser"],
  define: { "process.env.NODE_ENV": '"production"', "process.env": "{}", global: "window" },
  loader: { ".svg": "dataurl", ".png": "dataurl", ".woff": "dataurl", ".woff2": "dataurl", ".ttf": "dataurl" },
  // the ES modules of @grafana/ui 12.1.0 cannot be bundled
  alias: { "@grafana/ui": path.join(modules, "@grafana/ui/dist/cjs/index.cjs") },
  plugins: [repairs],
  logLevel: "error",
});
