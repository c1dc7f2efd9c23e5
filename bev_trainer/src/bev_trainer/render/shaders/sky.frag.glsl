#include outputs.glsl
#if COLOUR
uniform sampler2D sky_map;
#endif

void main() {
#if COLOUR
    vec3 ray = ray_0.xyz + gl_FragCoord.x * ray_x.xyz + gl_FragCoord.y * ray_y.xyz;
    // The upper half of an octahedron, its base turned into a square.
    vec2 flat_ray = ray.xy / (abs(ray.x) + abs(ray.y) + max(ray.z, 0.0));
    vec2 place = vec2(flat_ray.x + flat_ray.y, flat_ray.x - flat_ray.y) * 0.5 + 0.5;
    out_color = vec4(textureLod(sky_map, place, 0.0).rgb, 1.0);
#endif
#if LABELS
    out_label = vec4(0.0, 0.0, 1.0 / 255.0, 0.0);
    out_depth = 0.0;
#endif
}
