SwaggerUIBundle({
  url: new URL("openapi.json", window.location).href,
  dom_id: "#page",
  deepLinking: true,
  // asks an outside host by default
  validatorUrl: null,
});
